//! `rate_limit` of a route or a package.

use std::{num::NonZeroU32, ops::RangeInclusive, time::Duration};

use http::HeaderName;
use wasmgate_common::{Code, Diagnostic};

use super::{reader::Section, unit};
use crate::rate_limit::{RateLimitBy, RateLimitConfig};

/// The keys of `rate_limit`.
const KEYS: [&str; 4] = ["requests", "per", "burst", "by"];

/// A million in a second is more than one machine serves.
const COUNT: RangeInclusive<usize> = 1..=1_000_000;

/// From the shortest time in which a count means something to the longest that a process is likely to run.
const PER: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);

/// Unless said otherwise.
const DEFAULT_PER: Duration = Duration::from_secs(1);

/// Reads the table `rate_limit` of a route or a package.
pub(super) fn read(section: &Section<'_>) -> Option<RateLimitConfig> {
    let limit = section.section("rate_limit", &KEYS)?;
    let count = |key: &str| {
        let number = u32::try_from(limit.count(key, COUNT)?).ok()?;
        NonZeroU32::new(number)
    };
    limit.requires("requests", "the rate limit has no requests", "100");
    let requests = count("requests");
    let burst = count("burst");
    let per = limit.parsed("per", "1s", |text| unit::duration(text, &PER));
    let by = limit.parsed("by", "client", by);
    let requests = requests?;
    Some(RateLimitConfig {
        requests,
        per: per.unwrap_or(DEFAULT_PER),
        burst: burst.unwrap_or(requests),
        by: by.unwrap_or(RateLimitBy::Client),
    })
}

fn by(text: &str) -> Result<RateLimitBy, Diagnostic> {
    match text.split_once(':') {
        None if text == "client" => Ok(RateLimitBy::Client),
        None if text == "all" => Ok(RateLimitBy::All),
        Some(("header", name)) => HeaderName::try_from(name.trim())
            .map(RateLimitBy::Header)
            .map_err(|_| {
                Diagnostic::new(
                    Code::InvalidValue,
                    format!("{name:?} is not a name of a header"),
                    "write \"header:x-api-key\"",
                )
            }),
        _ => Err(Diagnostic::new(
            Code::UnknownName,
            format!("requests cannot be counted by {text:?}"),
            "write \"client\", \"header:x-api-key\" or \"all\"",
        )),
    }
}
