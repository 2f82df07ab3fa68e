//! The budget of log lines of a package.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// The overhead of a line in the log: time, package, request and field names.
const LINE_BYTES: usize = 256;

/// The burst of a package's log and its rate per second: enough for a few lines per request of a busy package, and a
/// small part of the log's capacity.
const PACKAGE_BURST_BYTES: f64 = (4 << 20) as f64;
const PACKAGE_BYTES_A_SECOND: f64 = (1 << 20) as f64;

/// The time between two reports of dropped lines.
const REPORT_AGAIN: Duration = Duration::from_secs(1);

/// The log budget of a package.
#[derive(Debug)]
pub(crate) struct LogBudget {
    bucket: Mutex<Bucket>,
    /// Lines dropped since the last report.
    unreported: AtomicU64,
}

#[derive(Debug)]
struct Bucket {
    bytes: f64,
    filled: Instant,
    reported: Option<Instant>,
}

impl LogBudget {
    /// A full budget.
    pub(crate) fn new() -> Self {
        Self {
            bucket: Mutex::new(Bucket {
                bytes: PACKAGE_BURST_BYTES,
                filled: Instant::now(),
                reported: None,
            }),
            unreported: AtomicU64::new(0),
        }
    }

    /// Takes a line of this size from the budget, if it is sufficient.
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

    /// Counts lines that were not logged.
    pub(crate) fn dropped(&self, lines: u64) {
        self.unreported.fetch_add(lines, Ordering::Relaxed);
    }

    /// Takes the number of dropped lines to report, if a report is due.
    pub(crate) fn take_unreported(&self) -> Option<u64> {
        if self.unreported.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let mut bucket = self.bucket.lock();
        let now = Instant::now();
        if bucket
            .reported
            .is_some_and(|reported| now - reported < REPORT_AGAIN)
        {
            return None;
        }
        bucket.reported = Some(now);
        Some(self.unreported.swap(0, Ordering::Relaxed)).filter(|lines| *lines > 0)
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
    fn dropped_lines_are_reported_once_and_not_at_every_request() {
        let budget = LogBudget::new();
        assert_eq!(budget.take_unreported(), None);
        budget.dropped(3);
        budget.dropped(4);
        assert_eq!(budget.take_unreported(), Some(7));
        budget.dropped(1);
        assert_eq!(budget.take_unreported(), None);
        assert_eq!(budget.unreported.load(Ordering::Relaxed), 1);
    }
}
