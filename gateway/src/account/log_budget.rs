//! The lines that a package may put into the log.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// What a line takes in the log besides its text: time, package, request and the names of all fields.
const LINE_BYTES: usize = 256;

/// What one package may put into the log at once, and in a second: enough for every request of a busy package to print
/// a few lines, and a small part of what a log can take.
const PACKAGE_BURST_BYTES: f64 = (4 << 20) as f64;
const PACKAGE_BYTES_A_SECOND: f64 = (1 << 20) as f64;

/// How often it is said that lines were dropped.
const TELL_AGAIN: Duration = Duration::from_secs(1);

/// The part of the log that a package may still fill.
#[derive(Debug)]
pub(crate) struct LogBudget {
    bucket: Mutex<Bucket>,
    /// Lines dropped since the last word about it.
    untold: AtomicU64,
}

#[derive(Debug)]
struct Bucket {
    bytes: f64,
    filled: Instant,
    told: Option<Instant>,
}

impl LogBudget {
    /// A budget of which nothing is used.
    pub(crate) fn new() -> Self {
        Self {
            bucket: Mutex::new(Bucket {
                bytes: PACKAGE_BURST_BYTES,
                filled: Instant::now(),
                told: None,
            }),
            untold: AtomicU64::new(0),
        }
    }

    /// Whether a line of so many bytes in the log may go there now.
    pub(crate) fn admits(&self, line: usize) -> bool {
        let mut bucket = self.bucket.lock();
        bucket.fill(Instant::now());
        let cost = line.saturating_add(LINE_BYTES) as f64;
        let enough = bucket.bytes >= cost;
        if enough {
            bucket.bytes -= cost;
        }
        enough
    }

    /// Notes lines that did not go into the log.
    pub(crate) fn dropped(&self, lines: u64) {
        self.untold.fetch_add(lines, Ordering::Relaxed);
    }

    /// How many lines are to be reported now as dropped: not too often, and none twice.
    pub(crate) fn to_tell(&self) -> Option<u64> {
        if self.untold.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let mut bucket = self.bucket.lock();
        let now = Instant::now();
        if bucket.told.is_some_and(|told| now - told < TELL_AGAIN) {
            return None;
        }
        bucket.told = Some(now);
        Some(self.untold.swap(0, Ordering::Relaxed)).filter(|lines| *lines > 0)
    }
}

impl Default for LogBudget {
    fn default() -> Self {
        Self::new()
    }
}

impl Bucket {
    fn fill(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.filled).as_secs_f64();
        self.bytes = (self.bytes + since * PACKAGE_BYTES_A_SECOND).min(PACKAGE_BURST_BYTES);
        self.filled = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_may_print_a_burst_and_goes_on_as_time_passes() {
        let budget = LogBudget::new();
        let admitted = (0..100_000).filter(|_| budget.admits(1)).count();
        assert!((10_000..30_000).contains(&admitted), "{admitted}");
        let later = Instant::now() + Duration::from_secs(1);
        budget.bucket.lock().fill(later);
        assert!(budget.admits(1));
    }

    #[test]
    fn dropped_lines_are_told_once_and_not_at_every_request() {
        let budget = LogBudget::new();
        assert_eq!(budget.to_tell(), None);
        budget.dropped(3);
        budget.dropped(4);
        assert_eq!(budget.to_tell(), Some(7));
        budget.dropped(1);
        assert_eq!(budget.to_tell(), None);
        assert_eq!(budget.untold.load(Ordering::Relaxed), 1);
    }
}
