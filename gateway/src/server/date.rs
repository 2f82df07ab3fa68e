//! The `date` field after the clock was set back.
//!
//! hyper caches the field until a later second: after the clock was set back by an hour, it would send the same future
//! time for an hour. Meanwhile responses get a field of ours.

use std::{
    cell::Cell,
    time::{Duration, SystemTime},
};

use http::{
    HeaderMap, HeaderValue,
    header::{DATE, Entry},
};

thread_local! {
    /// The latest second (Unix time) that this worker has seen: hyper's, or one before it.
    static LATEST: Cell<u64> = const { Cell::new(0) };
}

/// Sets `date` if the clock was set back and the response has none.
pub(super) fn fit(headers: &mut HeaderMap) {
    LATEST.with(|latest| fit_at(headers, now(), latest));
}

/// The Unix time; on Linux from the coarse clock.
fn now() -> u64 {
    #[cfg(target_os = "linux")]
    let second = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse).tv_sec;
    #[cfg(not(target_os = "linux"))]
    let second = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    u64::try_from(second).unwrap_or_default()
}

fn fit_at(headers: &mut HeaderMap, now: u64, latest: &Cell<u64>) {
    if now >= latest.get() {
        latest.set(now);
        return;
    }
    let Entry::Vacant(place) = headers.entry(DATE) else {
        return;
    };
    let date = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(now));
    let date = date.map(|date| HeaderValue::try_from(httpdate::fmt_http_date(date)));
    if let Some(Ok(date)) = date {
        place.insert(date);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_the_time_of_its_own_as_long_as_the_clock_is_behind_what_was_seen() {
        let latest = Cell::new(0);
        let at = |now, given: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.extend(given.map(|given| (DATE, HeaderValue::from_static(given))));
            fit_at(&mut headers, now, &latest);
            headers
                .get(DATE)
                .map(|date| date.to_str().unwrap().to_owned())
        };
        assert_eq!(at(784_111_777, None), None);
        assert_eq!(at(784_111_778, None), None);
        let back = at(784_111_777, None);
        assert_eq!(back.as_deref(), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
        assert_eq!(
            at(784_111_000, Some("of the guest")).as_deref(),
            Some("of the guest")
        );
        assert_eq!(at(784_111_778, None), None);
    }
}
