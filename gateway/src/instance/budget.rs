//! The budget of log lines of one request.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The most that one request may put into the log, in bytes, so that a guest that prints in a loop is seen and does not
/// fill the disk.
const REQUEST_BYTES: usize = 1 << 20;

/// The cost of a line in that budget besides its text: a worker makes a thousand lines in some milliseconds, and its
/// other requests wait no longer.
const REQUEST_LINE_BYTES: usize = 1 << 10;

/// The rest of what one request may put into the log: its two streams together.
#[derive(Debug, Default)]
pub(super) struct RequestBudget(AtomicUsize);

impl RequestBudget {
    /// Takes a line of so many bytes from the budget, if there is room for it.
    pub(super) fn admits(&self, line: usize) -> bool {
        let cost = line.saturating_add(REQUEST_LINE_BYTES);
        self.0.fetch_add(cost, Ordering::Relaxed) < REQUEST_BYTES
    }

    /// Returns whether nothing more may go into the log.
    pub(super) fn is_spent(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= REQUEST_BYTES
    }
}

/// The most bytes that a text may become in the log, where JSON writes control characters as six bytes and what is not
/// UTF-8 as a character of three.
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
