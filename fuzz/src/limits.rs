//! Rate limits.

use std::{
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU32,
    time::Duration,
};

use http::{HeaderMap, HeaderValue};
use wasmgate::rate_limit::{RateLimit, RateLimitBy, RateLimitConfig};

/// The header by which a limit counts.
const HEADER: &str = "x-api-key";

/// A limit (`REQUESTS SECONDS BURST`, and `client`, `header` or `all`), and requests, a line each: an address, and
/// perhaps a header's value. The first of each key passes, and nobody waits for longer than one request is worth.
pub fn rates(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut lines = text.lines();
    let Some(config) = lines.next().and_then(limit) else {
        return;
    };
    let limit = RateLimit::new(&config);
    let worth = config.per / config.requests.get();
    let mut first = true;
    for line in lines {
        let (address, key) = line.split_once(' ').unwrap_or((line, ""));
        let address = address.parse().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let value = HeaderValue::from_bytes(key.as_bytes()).ok();
        let headers: HeaderMap = value
            .filter(|value| !value.is_empty())
            .map(|value| (http::HeaderName::from_static(HEADER), value))
            .into_iter()
            .collect();
        let checked = limit.check(address, &headers);
        assert!(!first || checked.is_ok(), "the first one waits");
        first = false;
        if let Err(wait) = checked {
            assert!(wait <= worth, "{wait:?} of {worth:?}");
        }
    }
}

fn limit(line: &str) -> Option<RateLimitConfig> {
    let mut words = line.split(' ');
    let mut number = || words.next()?.parse().ok().and_then(NonZeroU32::new);
    let (requests, per, burst) = (number()?, number()?, number()?);
    let by = match words.next()? {
        "client" => RateLimitBy::Client,
        "header" => RateLimitBy::Header(http::HeaderName::from_static(HEADER)),
        "all" => RateLimitBy::All,
        _ => return None,
    };
    // What the configuration allows.
    let is_right = requests.get() <= 1_000_000 && burst.get() <= 1_000_000 && per.get() <= 24 * 3600;
    is_right.then(|| RateLimitConfig {
        requests,
        per: Duration::from_secs(u64::from(per.get())),
        burst,
        by,
    })
}
