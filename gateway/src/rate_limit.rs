//! Rate limits: how many requests a client, a key or all together may send in a period.
//!
//! The algorithm is governor's (generic cell rate algorithm, ITU-T I.371). The buckets are our own, since their number
//! must not grow with what clients send.

use std::{
    hash::{BuildHasher as _, RandomState},
    net::IpAddr,
    num::NonZeroU32,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use dashmap::DashMap;
use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    nanos::Nanos,
    state::{StateStore, keyed::ShrinkableKeyedStateStore},
};
use http::{HeaderMap, HeaderName};
use parking_lot::Mutex;

use crate::address;

/// The maximum period in which a burst is replenished: in practice nobody sees the difference.
const LONGEST_BURST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// The maximum of buckets of one limit, of some hundred bytes each. When all are taken, further keys share one bucket:
/// a flood of keys is limited to the rate of one, and existing keys keep their buckets.
const MOST_BUCKETS: usize = 100_000;

/// The number of requests after which full buckets are removed.
const REQUESTS_BETWEEN_SWEEPS: usize = 4096;

/// A rate limit as it is configured.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RateLimitConfig {
    /// The number of requests per `per`, on average.
    pub requests: NonZeroU32,
    /// The period.
    pub per: Duration,
    /// The burst size.
    pub burst: NonZeroU32,
    /// Which requests are counted together.
    pub by: RateLimitBy,
}

/// Which requests are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RateLimitBy {
    /// Those of one client address (IPv6: one /64).
    Client,
    /// Those with one value of a header; those without it, by client address.
    Header(HeaderName),
    /// All of them.
    All,
}

/// A rate limiter.
#[derive(Debug)]
pub struct RateLimit {
    by: RateLimitBy,
    limiter: RateLimiter<Key, Buckets, DefaultClock>,
    clock: DefaultClock,
    /// Randomly keyed, so that nobody can construct collisions.
    hasher: RandomState,
    requests: AtomicUsize,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq)]
enum Key {
    Client(IpAddr),
    /// Of a header's value, which may be long.
    Hash(u64),
    All,
}

impl RateLimit {
    /// A limiter with full buckets.
    pub fn new(config: &RateLimitConfig) -> Self {
        let clock = DefaultClock::default();
        let interval = config.per / config.requests.get();
        // The configuration has no zero period.
        let quota = Quota::with_period(interval).unwrap_or_else(|| Quota::per_second(config.requests));
        // `governor` counts the time of a whole burst in nanoseconds, and 500 years of them do not fit.
        let most = LONGEST_BURST.as_nanos() / interval.as_nanos().max(1);
        let most = u32::try_from(most).ok().and_then(NonZeroU32::new);
        let burst = most.map_or(config.burst, |most| config.burst.min(most));
        Self {
            by: config.by.clone(),
            limiter: RateLimiter::new(quota.allow_burst(burst), Buckets::default(), clock.clone()),
            clock,
            hasher: RandomState::new(),
            requests: AtomicUsize::new(0),
        }
    }

    /// Takes a request from its bucket.
    ///
    /// # Errors
    /// When the limit is exceeded; with the time until the next request is admitted.
    pub fn check(&self, client: IpAddr, headers: &HeaderMap) -> Result<(), Duration> {
        if self
            .requests
            .fetch_add(1, Ordering::Relaxed)
            .is_multiple_of(REQUESTS_BETWEEN_SWEEPS)
        {
            self.limiter.retain_recent();
        }
        let refused = self.limiter.check_key(&self.key(client, headers));
        refused.map_err(|refused| refused.wait_time_from(self.clock.now()))
    }

    fn key(&self, client: IpAddr, headers: &HeaderMap) -> Key {
        match &self.by {
            RateLimitBy::All => Key::All,
            RateLimitBy::Client => Key::Client(address::client_network(client)),
            RateLimitBy::Header(name) => match headers.get(name) {
                Some(value) => Key::Hash(self.hasher.hash_one(value)),
                None => Key::Client(address::client_network(client)),
            },
        }
    }
}

/// The state of each bucket, bounded in number.
#[derive(Debug, Default)]
struct Buckets {
    by_key: DashMap<Key, Nanos>,
    /// Counted separately, since the length of a sharded map locks each shard.
    made: AtomicUsize,
    /// The bucket of keys without one.
    shared: Mutex<Option<Nanos>>,
}

impl StateStore for Buckets {
    type Key = Key;

    fn measure_and_replace<T, F, E>(&self, key: &Key, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        if let Some(mut bucket) = self.by_key.get_mut(key) {
            let (measured, state) = measure(Some(*bucket))?;
            *bucket = state;
            return Ok(measured);
        }
        if self.made.load(Ordering::Relaxed) >= MOST_BUCKETS {
            let mut shared = self.shared.lock();
            let (measured, state) = measure(*shared)?;
            *shared = Some(state);
            return Ok(measured);
        }
        // Another thread may have created it meanwhile.
        let entry = self.by_key.entry(key.clone());
        let (measured, state) = match &entry {
            dashmap::Entry::Occupied(bucket) => measure(Some(*bucket.get()))?,
            dashmap::Entry::Vacant(_) => {
                self.made.fetch_add(1, Ordering::Relaxed);
                measure(None)?
            }
        };
        entry.insert(state);
        Ok(measured)
    }
}

impl ShrinkableKeyedStateStore<Key> for Buckets {
    fn retain_recent(&self, drop_below: Nanos) {
        self.by_key.retain(|_, state| *state > drop_below);
        self.made.store(self.by_key.len(), Ordering::Relaxed);
    }

    fn shrink_to_fit(&self) {
        self.by_key.shrink_to_fit();
    }

    fn len(&self) -> usize {
        self.by_key.len()
    }

    fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn limit(requests: u32, by: RateLimitBy) -> RateLimit {
        RateLimit::new(&RateLimitConfig {
            requests: NonZeroU32::new(requests).unwrap(),
            per: Duration::from_secs(3600),
            burst: NonZeroU32::new(requests).unwrap(),
            by,
        })
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_client_is_a_network_of_ipv6_or_an_address_of_ipv4_in_either_spelling() {
        let limit = limit(2, RateLimitBy::Client);
        let none = HeaderMap::new();
        for same in [
            ["10.0.0.1", "::ffff:10.0.0.1", "10.0.0.1"],
            ["2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::3"],
        ] {
            let [first, second, third] = same.map(|text| limit.check(address(text), &none));
            assert!(first.is_ok() && second.is_ok() && third.is_err());
        }
        assert!(limit.check(address("10.0.0.2"), &none).is_ok());
    }

    #[test]
    fn a_refusal_says_when_the_next_one_passes() {
        let limit = limit(2, RateLimitBy::All);
        let none = HeaderMap::new();
        let sent = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(|text| limit.check(address(text), &none));
        let wait = sent[2].unwrap_err();
        assert!(
            wait > Duration::from_secs(1700) && wait <= Duration::from_secs(1800),
            "{wait:?}"
        );
    }

    #[test]
    fn more_keys_than_there_are_buckets_share_one_and_the_others_keep_theirs() {
        let limit = limit(2, RateLimitBy::Header(HeaderName::from_static("x-api-key")));
        let from = address("10.0.0.1");
        let with = |key: &str| {
            HeaderMap::from_iter([(
                HeaderName::from_static("x-api-key"),
                HeaderValue::from_str(key).unwrap(),
            )])
        };
        assert!(limit.check(from, &with("first")).is_ok());
        let passed = (0..MOST_BUCKETS + 1000).filter(|n| limit.check(from, &with(&n.to_string())).is_ok());
        let passed = passed.count();
        assert!(passed <= MOST_BUCKETS + 2, "{passed}");
        assert!(limit.limiter.len() <= MOST_BUCKETS);
        assert!(limit.check(from, &with("first")).is_ok());
        assert!(limit.check(from, &with("first")).is_err());
    }
}
