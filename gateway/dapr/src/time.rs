//! Times and schedules as Dapr writes them.

use std::{
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chrono::{DateTime, SecondsFormat, Utc};
use croner::{
    Cron,
    parser::{CronParser, Seconds},
};

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

/// How long from `now` until `at`.
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

/// Why a text is no duration or schedule.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(crate) struct TimeError(String);

impl TimeError {
    pub(crate) fn new(message: &str) -> Self {
        Self(message.to_owned())
    }
}

/// A duration as Go writes it: `1h30m`, `1.5s`, `250ms`; `us` and `ns` too.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, TimeError> {
    let wrong = || {
        TimeError(format!(
            "{text:?} is no duration; write one such as 30s, 1h30m or 250ms"
        ))
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

/// A moment: RFC 3339, or a duration from `now`.
pub(crate) fn parse_moment(text: &str, now: i64) -> Result<i64, TimeError> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text.trim()) {
        return Ok(at.timestamp_millis());
    }
    match parse_duration(text) {
        Ok(from_now) => Ok(later(now, from_now)),
        Err(_) => Err(TimeError(format!(
            "{text:?} is neither an RFC 3339 time nor a duration; write 2026-01-31T08:00:00Z or 10s"
        ))),
    }
}

/// When something recurs, in UTC.
#[derive(Clone, Debug)]
pub(crate) enum Schedule {
    Cron(Box<Cron>),
    Every(Duration),
}

/// The shortest period of `@every`: a shorter one would only keep the machine busy.
const MIN_PERIOD: Duration = Duration::from_millis(100);

impl FromStr for Schedule {
    type Err = TimeError;

    /// Six fields (seconds first), `@every 5s`, or `@hourly` and its like. Five fields are taken
    /// as a cron without seconds, as the cron binding allows.
    fn from_str(text: &str) -> Result<Self, TimeError> {
        let text = text.trim();
        if let Some(period) = text.strip_prefix("@every ") {
            let period = parse_duration(period)?;
            if period < MIN_PERIOD {
                return Err(TimeError(format!(
                    "{text:?} recurs too fast; 100ms is the least"
                )));
            }
            return Ok(Self::Every(period));
        }
        let text = if text == "@midnight" { "@daily" } else { text };
        let parser = CronParser::builder().seconds(Seconds::Optional).build();
        let cron = parser.parse(text).map_err(|error| {
            TimeError(format!(
                "{text:?} is no schedule ({error}); write six fields (second minute hour day month \
                 weekday), @every 5s, or @daily"
            ))
        })?;
        Ok(Self::Cron(Box::new(cron)))
    }
}

impl Schedule {
    /// The next time after `after`, in milliseconds since 1970; none if there is none.
    pub(crate) fn next_after(&self, after: i64) -> Option<i64> {
        match self {
            Self::Every(period) => Some(later(after, *period)),
            Self::Cron(cron) => {
                let after = DateTime::<Utc>::from_timestamp_millis(after)?;
                let next = cron.find_next_occurrence(&after, false).ok()?;
                Some(next.timestamp_millis())
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

    #[test]
    fn six_fields_start_with_seconds() {
        let at = |text: &str| {
            DateTime::parse_from_rfc3339(text)
                .unwrap()
                .timestamp_millis()
        };
        let schedule: Schedule = "*/15 * * * * *".parse().unwrap();
        assert_eq!(
            schedule.next_after(at("2026-01-01T00:00:01Z")),
            Some(at("2026-01-01T00:00:15Z"))
        );
        let daily: Schedule = "@daily".parse().unwrap();
        assert_eq!(
            daily.next_after(at("2026-01-01T00:00:01Z")),
            Some(at("2026-01-02T00:00:00Z"))
        );
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
            assert!(wrong.parse::<Schedule>().is_err(), "{wrong}");
        }
    }
}
