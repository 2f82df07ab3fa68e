//! Backoff: pauses between tries.

use std::time::Duration;

/// A rule for trying again: how often, and after which pauses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct BackOff {
    pub(crate) first: Duration,
    /// 1 for a constant pause.
    pub(crate) factor: f64,
    pub(crate) longest: Duration,
    /// None: for ever.
    pub(crate) max_retries: Option<u32>,
}

impl BackOff {
    /// The rule for events unless a policy says otherwise: quickly at first, as most
    /// failures pass, and for about 25 s in all before the dead-letter topic.
    pub(crate) const DELIVERY: Self = Self {
        first: Duration::from_millis(100),
        factor: 2.0,
        longest: Duration::from_secs(10),
        max_retries: Some(8),
    };

    /// The rule for asking apps until they answer: quickly while a gateway starts, rarely when an app stays broken.
    pub(crate) const ASK_AGAIN: Self = Self {
        first: Duration::from_millis(100),
        factor: 2.0,
        longest: Duration::from_secs(30),
        max_retries: None,
    };

    /// The pause before retry number `retry` (from 0), shortened by up to a fifth at random so
    /// that many failing at once do not come back at once; none if there is to be no more.
    pub(crate) fn pause(&self, retry: u32) -> Option<Duration> {
        if self.max_retries.is_some_and(|most| retry >= most) {
            return None;
        }
        let exponent = i32::try_from(retry).unwrap_or(i32::MAX);
        let pause = self.first.as_secs_f64() * self.factor.powi(exponent);
        let pause = pause.min(self.longest.as_secs_f64());
        Some(Duration::from_secs_f64(
            pause * (0.8 + 0.2 * fastrand::f64()),
        ))
    }

    /// The same pause, or the longest if there is to be no more.
    pub(crate) fn pause_or_longest(&self, retry: u32) -> Duration {
        self.pause(retry).unwrap_or(self.longest)
    }
}
