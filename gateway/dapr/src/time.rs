//! Times and schedules as Dapr writes them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Days, Months, SecondsFormat, TimeDelta, Utc};
use wasmgate_common::{Code, Diagnostic};

use crate::cron::Cron;

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// `at` plus `by`, in milliseconds since 1970; at most the end of time.
pub(crate) fn later(at: i64, by: Duration) -> i64 {
    at.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX))
}

/// Returns how long it is from `now` until `at`.
pub(crate) fn until(at: i64, now: i64) -> Duration {
    Duration::from_millis(u64::try_from(at.saturating_sub(now)).unwrap_or(0))
}

/// RFC 3339 in UTC with milliseconds.
pub(crate) fn rfc3339(at_ms: i64) -> String {
    let at = DateTime::<Utc>::from_timestamp_millis(at_ms).unwrap_or(DateTime::<Utc>::MAX_UTC);
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A moment as Go prints it, which is how Dapr's cron binding tells the time.
pub(crate) fn go_time(at_ms: i64) -> String {
    let at = DateTime::<Utc>::from_timestamp_millis(at_ms).unwrap_or(DateTime::<Utc>::MAX_UTC);
    at.format("%Y-%m-%d %H:%M:%S%.3f +0000 UTC").to_string()
}

/// A text that is no duration or schedule, and what to write instead.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}; {help}")]
pub(crate) struct TimeError {
    message: String,
    help: &'static str,
}

impl TimeError {
    pub(crate) fn new(message: impl Into<String>, help: &'static str) -> Self {
        Self {
            message: message.into(),
            help,
        }
    }
}

impl From<TimeError> for Diagnostic {
    fn from(error: TimeError) -> Self {
        Self::new(Code::InvalidValue, error.message, error.help)
    }
}

/// A duration as Go writes it: `1h30m`, `1.5s`, `250ms`; `us` and `ns` too.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, TimeError> {
    let wrong = || {
        TimeError::new(
            format!("{text:?} is no duration"),
            "write one such as 30s, 1h30m or 250ms",
        )
    };
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(wrong)?;
        let (number, after) = rest.split_at(digits);
        let letters = after
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let seconds = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return Err(wrong()),
        };
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let part = Duration::try_from_secs_f64(number * seconds).map_err(|_| wrong())?;
        total = total.checked_add(part).ok_or_else(wrong)?;
        rest = after;
    }
    Ok(total)
}

/// A moment: RFC 3339, or a duration from `start` as Go writes it or as ISO 8601 does (`P1DT2H`).
pub(crate) fn parse_moment(text: &str, start: i64) -> Result<i64, TimeError> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text.trim()) {
        return Ok(at.timestamp_millis());
    }
    if let Ok(from_start) = parse_duration(text) {
        return Ok(later(start, from_start));
    }
    iso_later(text.trim(), start).ok_or_else(|| {
        TimeError::new(
            format!("{text:?} is neither an RFC 3339 time nor a duration"),
            "write 2026-01-31T08:00:00Z, 10s or PT10S",
        )
    })
}

/// `start` plus a duration of ISO 8601, whose months and years are those of the calendar; none if it is none.
fn iso_later(text: &str, start: i64) -> Option<i64> {
    let mut at = DateTime::<Utc>::from_timestamp_millis(start)?;
    let (date, time) = match text.strip_prefix('P')?.split_once('T') {
        Some((_, "")) => return None,
        Some((date, time)) => (date, time),
        None => (text.strip_prefix('P')?, ""),
    };
    if date.is_empty() && time.is_empty() {
        return None;
    }
    for (number, unit) in iso_parts(date, "YMWD")? {
        at = match unit {
            'Y' => at.checked_add_months(Months::new(number.checked_mul(12)?))?,
            'M' => at.checked_add_months(Months::new(number))?,
            'W' => at.checked_add_days(Days::new(u64::from(number) * 7))?,
            _ => at.checked_add_days(Days::new(u64::from(number)))?,
        };
    }
    for (number, unit) in iso_parts(time, "HMS")? {
        let seconds = match unit {
            'H' => 3600,
            'M' => 60,
            _ => 1,
        };
        at = at.checked_add_signed(TimeDelta::seconds(i64::from(number) * seconds))?;
    }
    Some(at.timestamp_millis())
}

/// Whole numbers with their units, each unit once and in this order.
fn iso_parts(mut text: &str, units: &str) -> Option<Vec<(u32, char)>> {
    let (mut parts, mut left) = (Vec::new(), units);
    while !text.is_empty() {
        let end = text.find(|c: char| !c.is_ascii_digit())?;
        let (number, rest) = text.split_at(end);
        let unit = rest.chars().next()?;
        (_, left) = left.split_once(unit)?;
        parts.push((number.parse().ok()?, unit));
        text = rest.get(unit.len_utf8()..)?;
    }
    Some(parts)
}

/// A recurring time.
#[derive(Clone, Debug)]
pub(crate) enum Schedule {
    Cron(Box<Cron>),
    Every(Duration),
}

/// The shortest period of `@every`: a shorter one would only keep the machine busy.
const MIN_PERIOD: Duration = Duration::from_millis(100);

impl Schedule {
    /// The schedule of a job: six fields, seconds first, `@every 5s`, or `@hourly` and its like.
    pub(crate) fn of_job(text: &str) -> Result<Self, TimeError> {
        let text = text.trim();
        if let Some(period) = text.strip_prefix("@every ") {
            let period = parse_duration(period)?;
            if period < MIN_PERIOD {
                return Err(TimeError::new(
                    format!("{text:?} recurs too fast"),
                    "100ms is the least",
                ));
            }
            return Ok(Self::Every(period));
        }
        let cron = text.parse().map_err(|error| {
            TimeError::new(
                format!("{text:?} is no schedule ({error})"),
                "write six fields (second minute hour day month weekday), @every 5s, or @daily",
            )
        })?;
        Ok(Self::Cron(Box::new(cron)))
    }

    /// The schedule of a cron binding: that of a job, or five fields without seconds.
    pub(crate) fn of_binding(text: &str) -> Result<Self, TimeError> {
        let zones = usize::from(text.trim_start().starts_with("TZ=") || text.trim_start().starts_with("CRON_TZ="));
        let mut fields: Vec<&str> = text.split_whitespace().collect();
        if fields.len() == 5 + zones {
            fields.insert(zones, "0");
            return Self::of_job(&fields.join(" "));
        }
        Self::of_job(text)
    }

    /// The next time after `after`, in milliseconds since 1970; none if there is none.
    pub(crate) fn next_after(&self, after: i64) -> Option<i64> {
        match self {
            Self::Every(period) => Some(later(after, *period)),
            Self::Cron(cron) => {
                let after = DateTime::<Utc>::from_timestamp_millis(after)?;
                Some(cron.next_after(after)?.timestamp_millis())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        assert_eq!(parse_duration("1h30m").unwrap(), Duration::from_secs(5400));
        assert_eq!(parse_duration("1.5s").unwrap(), Duration::from_millis(1500));
        assert_eq!(parse_duration("250ms").unwrap(), Duration::from_millis(250));
        for wrong in ["", "5", "s", "-1s", "1x", "1e400s", "1..2s"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    fn at(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text)
            .unwrap()
            .timestamp_millis()
    }

    #[test]
    fn moments_are_times_or_durations_of_go_or_iso_8601() {
        let start = at("2026-01-31T08:00:00Z");
        for (text, expected) in [
            ("2026-02-01T00:00:00+01:00", "2026-01-31T23:00:00Z"),
            ("1h30m", "2026-01-31T09:30:00Z"),
            ("PT90S", "2026-01-31T08:01:30Z"),
            ("P1M", "2026-02-28T08:00:00Z"),
            ("P1Y2W3DT4H5M6S", "2027-02-17T12:05:06Z"),
        ] {
            assert_eq!(parse_moment(text, start).unwrap(), at(expected), "{text}");
        }
        for wrong in [
            "",
            "P",
            "PT",
            "P1DT",
            "P1H",
            "PT1D",
            "P1",
            "PD",
            "P1S",
            "P-1D",
            "P1D1Y",
            "R2/PT1S",
            "soon",
            "P99999999999Y",
            "P4294967295Y",
        ] {
            assert!(parse_moment(wrong, start).is_err(), "{wrong}");
        }
    }

    #[test]
    fn jobs_have_six_fields_and_bindings_may_have_five() {
        assert!(Schedule::of_job("30 3 * * *").is_err());
        let five = Schedule::of_binding("TZ=UTC 30 3 * * *").unwrap();
        let six = Schedule::of_job("0 30 3 * * *").unwrap();
        let now = at("2026-01-01T00:00:01Z");
        assert_eq!(five.next_after(now), Some(at("2026-01-01T03:30:00Z")));
        assert_eq!(five.next_after(now), six.next_after(now));
        let every = Schedule::of_binding("@every 1m30s").unwrap();
        assert_eq!(every.next_after(now), Some(at("2026-01-01T00:01:31Z")));
    }

    #[test]
    fn nonsense_is_no_schedule() {
        for wrong in [
            "",
            "every day",
            "61 * * * * *",
            "@every",
            "@every 1ns",
            "* * *",
        ] {
            assert!(Schedule::of_job(wrong).is_err(), "{wrong}");
            assert!(Schedule::of_binding(wrong).is_err(), "{wrong}");
        }
    }
}
