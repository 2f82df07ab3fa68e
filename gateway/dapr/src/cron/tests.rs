//! Schedules against robfig/cron's own answers.

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
