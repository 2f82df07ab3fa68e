//! Cron expressions as Dapr reads them: those of robfig/cron, with seconds first.

use std::str::FromStr;

use chrono::{
    DateTime, Datelike, Days, FixedOffset, Months, NaiveDateTime, Offset, TimeDelta, TimeZone, Timelike, Utc,
};
use chrono_tz::Tz;

/// A schedule. Each field is the set of its values, as bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cron {
    second: u64,
    minute: u64,
    hour: u64,
    day: u64,
    month: u64,
    weekday: u64,
    zone: Tz,
}

/// The field was `*`: with a day of the month and a weekday, one that is not `*` decides alone.
const STAR: u64 = 1 << 63;

/// How far ahead a time is looked for: the 29th of February comes within eight years.
const YEARS: i32 = 8;

/// A field's least and greatest value and the names of values.
struct Bounds(u32, u32, &'static [(&'static str, u32)]);

const SECOND: Bounds = Bounds(0, 59, &[]);
const MINUTE: Bounds = SECOND;
const HOUR: Bounds = Bounds(0, 23, &[]);
const DAY: Bounds = Bounds(1, 31, &[]);
#[rustfmt::skip]
const MONTH: Bounds = Bounds(1, 12, &[
    ("jan", 1), ("feb", 2), ("mar", 3), ("apr", 4), ("may", 5), ("jun", 6),
    ("jul", 7), ("aug", 8), ("sep", 9), ("oct", 10), ("nov", 11), ("dec", 12),
]);
#[rustfmt::skip]
const WEEKDAY: Bounds = Bounds(0, 6, &[
    ("sun", 0), ("mon", 1), ("tue", 2), ("wed", 3), ("thu", 4), ("fri", 5), ("sat", 6),
]);

impl FromStr for Cron {
    type Err = String;

    /// Reads `second minute hour day month weekday`, or `@daily` and its like, with `TZ=Europe/Berlin` before either.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut rest = text.trim();
        let mut zone = Tz::UTC;
        if let Some(named) = rest
            .strip_prefix("CRON_TZ=")
            .or_else(|| rest.strip_prefix("TZ="))
        {
            let (name, schedule) = named
                .split_once(char::is_whitespace)
                .ok_or("a time zone has no schedule after it")?;
            zone = name
                .parse()
                .map_err(|_| format!("there is no time zone {name:?}"))?;
            rest = schedule.trim();
        }
        let fields = match rest {
            "@yearly" | "@annually" => "0 0 0 1 1 *",
            "@monthly" => "0 0 0 1 * *",
            "@weekly" => "0 0 0 * * 0",
            "@daily" | "@midnight" => "0 0 0 * * *",
            "@hourly" => "0 0 * * * *",
            other => other,
        };
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let [second, minute, hour, day, month, weekday] = fields.as_slice() else {
            return Err(format!(
                "six fields are expected, seconds first, not {}",
                fields.len()
            ));
        };
        Ok(Self {
            second: field(second, &SECOND)?,
            minute: field(minute, &MINUTE)?,
            hour: field(hour, &HOUR)?,
            day: field(day, &DAY)?,
            month: field(month, &MONTH)?,
            weekday: field(weekday, &WEEKDAY)?,
            zone,
        })
    }
}

impl Cron {
    /// The next time after `after`; none if there is none within years.
    pub(crate) fn next_after(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut lower = after;
        let mut offset = self.offset(lower);
        let mut local = lower.naive_utc() + offset;
        // Each turn passes a time at which the zone's clock is set; there are few in eight years.
        for _ in 0..4 * YEARS {
            let next = self.next_local(local)?;
            let at = (next - offset).and_utc();
            if self.offset(at) == offset {
                return Some(at);
            }
            lower = self.change(lower, at, offset);
            offset = self.offset(lower);
            local = lower.naive_utc() + offset - TimeDelta::seconds(1);
        }
        None
    }

    fn offset(&self, at: DateTime<Utc>) -> FixedOffset {
        self.zone.offset_from_utc_datetime(&at.naive_utc()).fix()
    }

    /// The first second in which the zone's offset is no longer `offset`, between two times of which this is true.
    fn change(&self, mut before: DateTime<Utc>, mut after: DateTime<Utc>, offset: FixedOffset) -> DateTime<Utc> {
        while after - before > TimeDelta::seconds(1) {
            let middle = before + (after - before) / 2;
            if self.offset(middle) == offset {
                before = middle
            } else {
                after = middle
            }
        }
        after.with_nanosecond(0).unwrap_or(after)
    }

    /// The same by the clock on the wall.
    fn next_local(&self, after: NaiveDateTime) -> Option<NaiveDateTime> {
        let mut at = after.with_nanosecond(0)? + TimeDelta::seconds(1);
        let last = at.year() + YEARS;
        while at.year() <= last {
            let day = at.date();
            if !has(self.month, at.month()) {
                at = (day.with_day(1)? + Months::new(1)).and_time(Default::default());
            } else if !self.has_day(at) {
                at = (day + Days::new(1)).and_time(Default::default());
            } else if !has(self.hour, at.hour()) {
                at = day.and_hms_opt(at.hour(), 0, 0)? + TimeDelta::hours(1);
            } else if !has(self.minute, at.minute()) {
                at = at.with_second(0)? + TimeDelta::minutes(1);
            } else if !has(self.second, at.second()) {
                at += TimeDelta::seconds(1);
            } else {
                return Some(at);
            }
        }
        None
    }

    fn has_day(&self, at: NaiveDateTime) -> bool {
        let (day, weekday) = (
            has(self.day, at.day()),
            has(self.weekday, at.weekday().num_days_from_sunday()),
        );
        if (self.day | self.weekday) & STAR != 0 {
            day && weekday
        } else {
            day || weekday
        }
    }
}

fn has(field: u64, value: u32) -> bool {
    field & (1 << value) != 0
}

/// The values of a field: ranges with commas between.
fn field(text: &str, bounds: &Bounds) -> Result<u64, String> {
    let ranges = text.split(',').filter(|range| !range.is_empty());
    let bits = ranges
        .map(|text| range(text, bounds))
        .try_fold(0, |bits, range| Ok::<u64, String>(bits | range?))?;
    if bits == 0 {
        Err(format!("{text:?} is no field"))
    } else {
        Ok(bits)
    }
}

/// The values of `*`, `5`, `5-10`, and of these with a step: `*/15`, `5/15`, `5-10/2`.
fn range(text: &str, &Bounds(least, greatest, names): &Bounds) -> Result<u64, String> {
    let wrong = |why: &str| format!("{text:?} {why}");
    let (range, step) = text
        .split_once('/')
        .map_or((text, None), |(range, step)| (range, Some(step)));
    let value = |text: &str| {
        let named = names
            .iter()
            .find(|(name, _)| text.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value);
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        named
            .or_else(|| text.parse().ok().filter(|_| digits))
            .ok_or_else(|| wrong("is no number"))
    };
    let (mut star, first, mut last) = match range.split_once('-') {
        None if matches!(range, "*" | "?") => (STAR, least, greatest),
        None => (0, value(range)?, value(range)?),
        Some((first, last)) => (0, value(first)?, value(last)?),
    };
    let step = match step {
        None => 1,
        Some(step) => {
            if !range.contains('-') {
                last = greatest;
            }
            value(step)?
        }
    };
    if step > 1 {
        star = 0;
    }
    if first < least || last > greatest || first > last {
        return Err(wrong(&format!("is not within {least} and {greatest}")));
    }
    if step == 0 {
        return Err(wrong("has no step"));
    }
    let values = (first..=last).step_by(usize::try_from(step).unwrap_or(usize::MAX));
    Ok(values.fold(star, |bits, value| bits | 1 << value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(schedule: &str, after: &str) -> String {
        let after = after.parse().unwrap();
        let next = schedule.parse::<Cron>().unwrap().next_after(after);
        next.map_or("never".to_owned(), |next| {
            next.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
        })
    }

    #[test]
    fn the_next_time_is_that_of_robfigs_cron() {
        // From the tests of github.com/robfig/cron, in UTC, with seconds.
        for (after, schedule, expected) in [
            (
                "2012-07-09T14:45:00Z",
                "0 0/15 * * * *",
                "2012-07-09T15:00:00Z",
            ),
            (
                "2012-07-09T14:59:59Z",
                "0 0/15 * * * *",
                "2012-07-09T15:00:00Z",
            ),
            (
                "2012-07-09T15:45:00Z",
                "0 20-35/15 * * * *",
                "2012-07-09T16:20:00Z",
            ),
            (
                "2012-07-09T23:46:00Z",
                "0 */15 * * * *",
                "2012-07-10T00:00:00Z",
            ),
            (
                "2012-07-09T23:45:00Z",
                "0 20-35/15 * * * *",
                "2012-07-10T00:20:00Z",
            ),
            (
                "2012-07-09T23:35:51Z",
                "15/35 20-35/15 * * * *",
                "2012-07-10T00:20:15Z",
            ),
            (
                "2012-07-09T23:35:51Z",
                "15/35 20-35/15 1/2 * * *",
                "2012-07-10T01:20:15Z",
            ),
            (
                "2012-07-09T23:35:51Z",
                "15/35 20-35/15 10-12 * * *",
                "2012-07-10T10:20:15Z",
            ),
            (
                "2012-07-09T23:35:51Z",
                "15/35 20-35/15 1/2 */2 * *",
                "2012-07-11T01:20:15Z",
            ),
            (
                "2012-07-09T23:35:51Z",
                "15/35 20-35/15 * 9-20 * *",
                "2012-07-10T00:20:15Z",
            ),
            (
                "2012-07-09T23:35:51Z",
                "15/35 20-35/15 * 9-20 Jul *",
                "2012-07-10T00:20:15Z",
            ),
            (
                "2012-07-09T23:35:00Z",
                "0 0 0 9 Apr-Oct ?",
                "2012-08-09T00:00:00Z",
            ),
            (
                "2012-07-09T23:35:00Z",
                "0 0 0 */5 Apr,Aug,Oct Mon",
                "2012-08-01T00:00:00Z",
            ),
            (
                "2012-07-09T23:35:00Z",
                "0 0 0 */5 Oct Mon",
                "2012-10-01T00:00:00Z",
            ),
            (
                "2012-07-09T23:35:00Z",
                "0 0 0 * Feb Mon",
                "2013-02-04T00:00:00Z",
            ),
            (
                "2012-07-09T23:35:00Z",
                "0 0 0 * Feb Mon/2",
                "2013-02-01T00:00:00Z",
            ),
            (
                "2012-12-31T23:59:45Z",
                "0 * * * * *",
                "2013-01-01T00:00:00Z",
            ),
            (
                "2012-07-09T23:35:00Z",
                "0 0 0 29 Feb ?",
                "2016-02-29T00:00:00Z",
            ),
            ("2012-07-09T23:35:00Z", "0 0 0 30 Feb ?", "never"),
            ("2012-07-09T23:35:00Z", "@weekly", "2012-07-15T00:00:00Z"),
            ("2012-07-09T23:35:00.5Z", "@hourly", "2012-07-10T00:00:00Z"),
        ] {
            assert_eq!(next(schedule, after), expected, "{schedule} after {after}");
        }
    }

    #[test]
    fn a_zones_clock_is_followed_when_it_is_set() {
        for (after, schedule, expected) in [
            (
                "2026-01-01T00:00:00Z",
                "TZ=Europe/Berlin 0 30 3 * * *",
                "2026-01-01T02:30:00Z",
            ),
            (
                "2026-07-01T02:00:00Z",
                "CRON_TZ=Europe/Berlin 0 30 3 * * *",
                "2026-07-02T01:30:00Z",
            ),
            // From 2:00 to 3:00 on the 29th of March, and back on the 25th of October.
            (
                "2026-03-28T12:00:00Z",
                "TZ=Europe/Berlin 0 30 2 * * *",
                "2026-03-30T00:30:00Z",
            ),
            (
                "2026-03-29T00:59:30Z",
                "TZ=Europe/Berlin */20 * * * * *",
                "2026-03-29T00:59:40Z",
            ),
            (
                "2026-03-29T00:59:40Z",
                "TZ=Europe/Berlin */20 * * * * *",
                "2026-03-29T01:00:00Z",
            ),
            (
                "2026-10-25T00:59:40Z",
                "TZ=Europe/Berlin */20 * * * * *",
                "2026-10-25T01:00:00Z",
            ),
            (
                "2026-10-25T01:59:40Z",
                "TZ=Europe/Berlin */20 * * * * *",
                "2026-10-25T02:00:00Z",
            ),
        ] {
            assert_eq!(next(schedule, after), expected, "{schedule} after {after}");
        }
    }

    #[test]
    fn what_dapr_refuses_is_refused() {
        for wrong in [
            "",
            "* * * * *",
            "* * * * * * *",
            "60 * * * * *",
            "* * 24 * * *",
            "* * * 0 * *",
            "* * * * 13 *",
            "* * * * * 7",
            "5-3 * * * * *",
            "*/0 * * * * *",
            "1/2/3 * * * * *",
            "1-2-3 * * * * *",
            "-1 * * * * *",
            "x * * * * *",
            "* * * L * *",
            "* * * * * 1#2",
            "@every",
            "@often",
            "TZ=Nowhere/X * * * * * *",
            "TZ=UTC",
            "+1 * * * * *",
            ", * * * * *",
        ] {
            assert!(wrong.parse::<Cron>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_next_time_is_the_first_that_fits() {
        const FIELDS: [&str; 10] = [
            "*", "?", "*/7", "0", "5,50", "10-20/3", "59", "3/11", "0-59", "30-40,2",
        ];
        let mut random = fastrand::Rng::with_seed(11);
        for _ in 0..100 {
            let mut field = || FIELDS[random.usize(..FIELDS.len())];
            let schedule = format!("{} {} * * * *", field(), field());
            let cron: Cron = schedule.parse().unwrap();
            let after = DateTime::from_timestamp(random.i64(0..4_000_000_000), 0).unwrap();
            let fits = |at: &DateTime<Utc>| has(cron.minute, at.minute()) && has(cron.second, at.second());
            let expected = (1..=3600)
                .map(|seconds| after + TimeDelta::seconds(seconds))
                .find(fits);
            assert_eq!(cron.next_after(after), expected, "{schedule} after {after}");
        }
    }

    #[test]
    fn no_schedule_panics_or_goes_back() {
        #[rustfmt::skip]
        const WORDS: [&str; 22] = [
            "*", "?", "/", "-", ",", "0", "1", "29", "31", "59", "60", "feb", "MON", "2", "99999999999", " ", " ", " * ", " 1 ",
            "TZ=UTC ", "@daily", "ä",
        ];
        const ZONES: [&str; 4] = [
            "",
            "TZ=Africa/Casablanca ",
            "TZ=Australia/Lord_Howe ",
            "TZ=Pacific/Apia ",
        ];
        let mut random = fastrand::Rng::with_seed(5);
        let mut valid = 0;
        for _ in 0..20_000 {
            let mut text = ZONES[random.usize(..ZONES.len())].to_owned();
            for at in 0..6 {
                let words = if random.u8(..4) == 0 { 2 } else { 1 };
                for _ in 0..words {
                    text.push_str(WORDS[random.usize(..WORDS.len())]);
                }
                text.push_str(if at < 5 { " " } else { "" });
            }
            let Ok(cron) = text.parse::<Cron>() else {
                continue;
            };
            valid += 1;
            let after = random.i64(-70_000_000_000..250_000_000_000);
            let after = DateTime::from_timestamp(after, 0).unwrap();
            let next = cron.next_after(after);
            assert!(
                next.is_none_or(|next| next > after),
                "{text} after {after}: {next:?}"
            );
        }
        assert!(valid > 20, "{valid} are schedules");
    }
}
