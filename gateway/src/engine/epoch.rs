//! The epoch ticker: at its ticks a running guest can be made to yield.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use wasmtime::Engine;

/// The tick: a single long-running guest blocks its worker for at most two ticks; shorter ones would wake up an idle
/// machine more often.
const TICK: Duration = Duration::from_millis(10);

/// The tick while guests compute for long: others then wait little longer than a request takes on a busy machine, and a
/// turn still costs a hundred times what a switch does.
pub(crate) const SHORT_TICK: Duration = Duration::from_millis(1);

/// How long ticks stay short after a guest has yielded, so that they do not alternate.
const SHORT_FOR: Duration = Duration::from_secs(1);

/// How often guests had to yield, in any engine: all engines share the workers.
static SHARED: AtomicUsize = AtomicUsize::new(0);

/// Notes that a guest had to yield: ticks are short from the next one on.
pub(crate) fn share_workers() {
    SHARED.fetch_add(1, Ordering::Relaxed);
}

/// How often guests had to yield.
pub(crate) fn shared() -> usize {
    SHARED.load(Ordering::Relaxed)
}

/// The start of the first ticker.
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The time of the last tick of any engine, in nanoseconds since then.
static TICKED: AtomicU64 = AtomicU64::new(0);

/// The time of the last tick, since the start: a clock that costs an atomic load.
pub(crate) fn ticked() -> Duration {
    Duration::from_nanos(TICKED.load(Ordering::Relaxed))
}

/// Advances the engine's epoch until the engine is dropped.
pub(super) fn start(engine: &Engine) {
    let weak = engine.weak();
    let ticker = thread::Builder::new().name("epoch".to_owned());
    let started = ticker.spawn(move || {
        let mut pace = Pace::default();
        while let Some(engine) = weak.upgrade() {
            let now = Instant::now();
            let since = now.saturating_duration_since(*BEGAN).as_nanos();
            // Stored before guests see the tick.
            TICKED.store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
            engine.increment_epoch();
            drop(engine);
            thread::sleep(pace.next(shared(), now));
        }
    });
    if let Err(error) = started {
        tracing::error!(%error, "no thread for the epoch: a guest that spins will hold its worker");
    }
}

/// Chooses the length of ticks.
#[derive(Debug, Default)]
struct Pace {
    shared: usize,
    short_until: Option<Instant>,
}

impl Pace {
    /// The time until the next tick; `shared` is how often guests had to yield.
    fn next(&mut self, shared: usize, now: Instant) -> Duration {
        if shared != self.shared {
            self.shared = shared;
            self.short_until = Some(now + SHORT_FOR);
        }
        if self.short_until.is_some_and(|until| now < until) {
            return SHORT_TICK;
        }
        self.short_until = None;
        TICK
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_short_while_guests_let_others_go_first_and_a_while_after() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        assert_eq!(pace.next(0, start), TICK);
        assert_eq!(pace.next(1, start), SHORT_TICK);
        assert_eq!(pace.next(1, start + SHORT_FOR / 2), SHORT_TICK);
        assert_eq!(pace.next(1, start + SHORT_FOR), TICK);
        assert_eq!(pace.next(2, start + SHORT_FOR), SHORT_TICK);
    }
}
