//! Applies a target's policy: time-outs, retries and the circuit breaker around a call.

use std::{future::Future, ops::RangeInclusive, sync::Arc, time::Duration};

use tokio::time::{sleep, timeout};

use crate::{
    app::AppId,
    back_off::BackOff,
    breaker::{Breakers, Passed, Refused},
};

/// The policy of one target.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policy {
    /// The time of one try.
    pub(crate) timeout: Option<Duration>,
    pub(crate) retry: Option<Retry>,
    pub(crate) breakers: Option<Arc<Breakers>>,
}

/// A policy of retries: their number, their pauses and the answers after which there are any.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Retry {
    pub(crate) back_off: BackOff,
    /// Statuses of HTTP after which it is tried again; without any, after each that is a failure.
    pub(crate) statuses: Option<Arc<[RangeInclusive<u16>]>>,
}

/// The end of one try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Try {
    Succeeded,
    /// It failed, and may be tried again.
    Failed,
    /// It failed, and another try would be of no use.
    FailedForGood,
}

/// A call that brought no result of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stopped {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
}

impl Retry {
    /// Returns whether an answer with this status is tried again.
    pub(crate) fn covers(&self, status: u16) -> bool {
        let listed = |statuses: &Arc<[RangeInclusive<u16>]>| statuses.iter().any(|range| range.contains(&status));
        self.statuses.as_ref().is_none_or(listed)
    }
}

impl Policy {
    /// Returns whether there is nothing to heed.
    pub(crate) fn is_none(&self) -> bool {
        self.timeout.is_none() && self.retry.is_none() && self.breakers.is_none()
    }

    /// Lets a call of `app` to `target` pass its circuit breaker, if there is one.
    pub(crate) fn pass(&self, app: &AppId, target: &str) -> Result<Option<Passed>, Refused> {
        let breakers = self.breakers.as_ref();
        breakers
            .map(|breakers| breakers.of(app, target).pass())
            .transpose()
    }

    /// Makes a call until it succeeds or is not to be tried again. Each try passes the circuit breaker and is one of
    /// its counts; what that refuses is not tried again.
    pub(crate) async fn run<T, F: Future<Output = T>>(
        &self,
        (app, target): (&AppId, &str),
        mut attempt: impl FnMut() -> F,
        judge: impl Fn(&T) -> Try,
    ) -> Result<T, Stopped> {
        let mut retries = 0;
        loop {
            let passed = self.pass(app, target)?;
            let result = match self.timeout {
                Some(limit) => timeout(limit, attempt())
                    .await
                    .map_err(|_| Stopped::TimedOut(limit)),
                None => Ok(attempt().await),
            };
            let ended = result.as_ref().map_or(Try::Failed, &judge);
            if let Some(passed) = passed {
                passed.end(ended == Try::Succeeded);
            }
            let retry = self.retry.as_ref().filter(|_| ended == Try::Failed);
            match retry.and_then(|retry| retry.back_off.pause(retries)) {
                Some(pause) => sleep(pause).await,
                None => return result,
            }
            retries += 1;
        }
    }
}
