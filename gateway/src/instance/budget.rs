//! The budget of log lines of one request.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The maximum that one request may log, in bytes: enough to see a guest that prints in a loop, without filling the
/// disk.
const REQUEST_BYTES: usize = 1 << 20;

/// The fixed cost of a line, besides its text: a worker formats a thousand lines in a few milliseconds, and its other
/// requests should not wait longer.
const REQUEST_LINE_BYTES: usize = 1 << 10;

/// What one request may still log, on both streams together.
#[derive(Debug, Default)]
pub(super) struct RequestBudget(AtomicUsize);

impl RequestBudget {
    /// Takes a line of this size from the budget, if it is sufficient.
    pub(super) fn admits(&self, line: usize) -> bool {
        let cost = line.saturating_add(REQUEST_LINE_BYTES);
        self.0.fetch_add(cost, Ordering::Relaxed) < REQUEST_BYTES
    }

    /// Returns whether the budget is used up.
    pub(super) fn is_spent(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= REQUEST_BYTES
    }
}

/// The maximum size of a text in the log, where JSON escapes control characters with six bytes and invalid UTF-8
/// becomes a character of three.
pub(super) fn in_log(text: &[u8]) -> usize {
    let byte = |byte: &u8| match byte {
        b' '..=b'~' => 1,
        0x80.. => 3,
        _ => 6,
    };
    text.iter().map(byte).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_may_print_a_thousand_short_lines() {
        let budget = RequestBudget::default();
        let admitted = (0..100_000).filter(|_| budget.admits(1)).count();
        assert!((1_000..1_100).contains(&admitted), "{admitted}");
        assert!(budget.is_spent());
    }
}
