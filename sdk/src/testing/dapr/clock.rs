//! The stand-in's time, which stands still.

/// The moment at which it stands (RFC 3339).
pub(super) const NOW: &str = "2026-01-01T00:00:00Z";

/// The days of the months of the year in which it stands, and from there on of years without a leap day.
const MONTHS: [u64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// The moment so many seconds after it, in a calendar without leap days, which is near enough to be shown.
pub(super) fn later(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, mut day) = (2026 + days / 365, days % 365);
    let mut month = 1;
    for length in MONTHS {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!(
        "{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z",
        day + 1
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_counted_from_the_one_at_which_time_stands() {
        assert_eq!(later(0), NOW);
        assert_eq!(later(59 * 86_400 + 3_661), "2026-03-01T01:01:01Z");
        assert_eq!(later(365 * 86_400), "2027-01-01T00:00:00Z");
    }
}
