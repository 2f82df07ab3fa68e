//! Which requests are logged.

use std::cell::Cell;

/// Requests that have a line in the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Requests {
    /// None of them.
    None,
    /// Those that fail.
    Failures,
    /// One in so many, and those that fail.
    OneIn(u32),
    /// All of them.
    All,
}

thread_local! {
    /// Requests of this thread that were passed over since the last line.
    static PASSED: Cell<u32> = const { Cell::new(0) };
}

impl Requests {
    /// The number for [`Requests::None`].
    pub(super) const NONE: u32 = 0;
    /// The number for [`Requests::Failures`]; others are those of one in so many.
    const FAILURES: u32 = u32::MAX;

    pub(super) fn to_number(self) -> u32 {
        match self {
            Self::None => Self::NONE,
            Self::Failures => Self::FAILURES,
            Self::OneIn(many) => many.clamp(1, Self::FAILURES - 1),
            Self::All => 1,
        }
    }

    pub(super) fn from_number(number: u32) -> Self {
        match number {
            Self::NONE => Self::None,
            Self::FAILURES => Self::Failures,
            1 => Self::All,
            many => Self::OneIn(many),
        }
    }

    /// Returns whether the next request has a line. Each thread counts for itself.
    pub(super) fn takes(self, is_failure: bool) -> bool {
        match self {
            Self::None => false,
            Self::Failures => is_failure,
            Self::All => true,
            Self::OneIn(_) if is_failure => true,
            Self::OneIn(many) => PASSED.with(|passed| {
                let next = passed.get() + 1;
                let is_due = next >= many;
                passed.set(if is_due { 0 } else { next });
                is_due
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_so_many_and_every_failure_is_taken() {
        let taken = |mode: Requests, is_failure| (0..100).filter(|_| mode.takes(is_failure)).count();
        assert_eq!(taken(Requests::OneIn(10), false), 10);
        assert_eq!(taken(Requests::OneIn(10), true), 100);
        assert_eq!(taken(Requests::Failures, false), 0);
        for mode in [
            Requests::None,
            Requests::Failures,
            Requests::OneIn(7),
            Requests::All,
        ] {
            assert_eq!(Requests::from_number(mode.to_number()), mode);
        }
    }
}
