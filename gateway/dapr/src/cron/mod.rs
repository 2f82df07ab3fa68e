//! Cron expressions as Dapr reads them: those of robfig/cron, with seconds first.

mod fields;

use std::str::FromStr;

use chrono::{
    DateTime, Datelike, Days, FixedOffset, Months, NaiveDateTime, Offset, TimeDelta, TimeZone, Timelike, Utc,
};
use chrono_tz::Tz;

use fields::{DAY, HOUR, MINUTE, MONTH, SECOND, STAR, WEEKDAY, field, has};

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

/// The time ahead in which the next one is looked for: the 29th of February comes within eight years.
const YEARS: i32 = 8;

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

#[cfg(test)]
mod tests;
