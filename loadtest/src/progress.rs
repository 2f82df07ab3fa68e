//! A live line on a terminal while a load runs.

use std::{
    io::{IsTerminal, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::plan::Plan;

/// Counters of one thread, written by it alone and read by the progress line.
/// Aligned so that threads do not share a cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Live {
    answered: AtomicU64,
    failed: AtomicU64,
    slowest_ns: AtomicU64,
}

impl Live {
    pub(crate) fn count(&self, latency: Duration, right: bool) {
        let counter = if right { &self.answered } else { &self.failed };
        // One writer: a load and a store are cheaper than a locked add.
        counter.store(counter.load(Relaxed) + 1, Relaxed);
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        if nanos > self.slowest_ns.load(Relaxed) {
            self.slowest_ns.store(nanos, Relaxed);
        }
    }
}

/// The progress line, if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// No line.
    Silent,
    /// On standard error, so that standard output stays a clean result.
    Line,
}

impl Progress {
    /// The interval at which the line is drawn.
    pub const INTERVAL: Duration = Duration::from_millis(250);

    /// A line if a person is watching.
    pub fn on_terminal() -> Self {
        if std::io::stderr().is_terminal() {
            Self::Line
        } else {
            Self::Silent
        }
    }

    pub(crate) fn start(self, plan: &Plan, live: Vec<Arc<Live>>) -> Line {
        let now = Instant::now();
        Line {
            shown: self == Self::Line,
            duration: plan.duration,
            live,
            started: now,
            last: (now, 0),
        }
    }
}

/// The line while it is shown.
#[derive(Debug)]
pub(crate) struct Line {
    shown: bool,
    duration: Duration,
    live: Vec<Arc<Live>>,
    started: Instant,
    last: (Instant, u64),
}

impl Line {
    pub(crate) fn show(&mut self) {
        if !self.shown {
            return;
        }
        let now = Instant::now();
        let sum = |counter: fn(&Live) -> u64| self.live.iter().map(|live| counter(live)).sum();
        let answered: u64 = sum(|live| live.answered.load(Relaxed));
        let failed: u64 = sum(|live| live.failed.load(Relaxed));
        let slowest = self
            .live
            .iter()
            .map(|live| live.slowest_ns.swap(0, Relaxed));
        let (then, before) = self.last;
        self.last = (now, answered);
        let rate = (answered - before) as f64 / (now - then).as_secs_f64();
        self.draw(&format!(
            "{:>5.1}s of {}  {rate:>9.0} req/s  slowest {:>8.2} ms  {answered} answered  {failed} failed",
            (now - self.started).as_secs_f64(),
            humantime::format_duration(self.duration),
            slowest.max().unwrap_or(0) as f64 / 1e6,
        ));
    }

    pub(crate) fn clear(&self) {
        if self.shown {
            self.draw("");
        }
    }

    fn draw(&self, text: &str) {
        // ESC [ 2 K erases the line. A closed terminal is no reason to fail.
        let _ = write!(std::io::stderr(), "\r\x1b[2K{text}");
        let _ = std::io::stderr().flush();
    }
}
