//! The times in which faults are at work, and those in which the machine has none for a gateway: what a wrong answer
//! may come from.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::time::sleep;

use super::Run;

/// The time between two looks at how long a gateway has waited for a processor.
const LOOK: Duration = Duration::from_millis(500);

/// A time in which an answer may be an error.
#[derive(Default)]
pub(super) struct Spell {
    is_on: AtomicBool,
    /// The end of the latest one.
    ended: Mutex<Option<Instant>>,
}

impl Spell {
    /// Begins one.
    pub(super) fn begin(&self) {
        self.is_on.store(true, Ordering::Relaxed);
    }

    /// Ends it.
    pub(super) fn end(&self) {
        *self.ended.lock() = Some(Instant::now());
        self.is_on.store(false, Ordering::Relaxed);
    }

    /// Returns whether a request that began then has met one.
    pub(super) fn has_met(&self, begun: Instant) -> bool {
        self.is_on.load(Ordering::Relaxed) || self.ended.lock().is_some_and(|ended| ended >= begun)
    }
}

/// The time that the workers of a gateway waited for a processor, as it has grown.
#[derive(Default)]
pub(super) struct Waits(Mutex<Vec<(Instant, Duration)>>);

impl Waits {
    /// Watches a gateway until the run is over.
    pub(super) async fn watch(self: Arc<Self>, run: Arc<Run>, pid: u32) {
        while !run.over.load(Ordering::Relaxed) {
            self.0.lock().push((Instant::now(), waited(pid)));
            sleep(LOOK).await;
        }
    }

    /// The time that all of them together have waited since then.
    pub(super) fn since(&self, begun: Instant) -> Duration {
        let all = self.0.lock();
        let before = all.iter().rev().find(|(at, _)| *at <= begun);
        let last = all.last().map_or(Duration::ZERO, |(_, waited)| *waited);
        last.saturating_sub(before.map_or(last, |(_, waited)| *waited))
    }
}

/// The time that the workers of a process have been ready and did not run: the second number of `schedstat` (proc(5)).
fn waited(pid: u32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{pid}/task"));
    let nanoseconds = threads.into_iter().flatten().filter_map(|thread| {
        let thread = thread.ok()?.path();
        let name = fs::read_to_string(thread.join("comm")).ok()?;
        let times = fs::read_to_string(thread.join("schedstat")).ok()?;
        let waited: u64 = times.split_whitespace().nth(1)?.parse().ok()?;
        name.starts_with("worker-").then_some(waited)
    });
    Duration::from_nanos(nanoseconds.sum())
}
