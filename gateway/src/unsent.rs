//! Response bytes that are buffered for slow clients, of one HTTP/2 connection and of all connections together.
//!
//! A guest that ends leaves its response behind. The more is buffered already, the less a guest may write ahead of its
//! client; beyond that it waits, with all its resources.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use prometheus::{
    core::{Collector, Desc},
    proto::MetricFamily,
};

use crate::metrics::{Family, description};

/// What a guest may write ahead while little is buffered: wasmtime's default. Nearly every response is shorter, so its
/// guest can end at once.
pub(crate) const CHUNK: usize = 1 << 20;

/// What it may write ahead while much is buffered.
const SMALL_CHUNK: usize = 64 << 10;

/// What it may write ahead while too much is buffered: one HTTP/2 frame.
const SMALLEST_CHUNK: usize = 16 << 10;

/// "Much" and "too much" for all connections: a small part of the memory of any machine that serves so many.
const OF_ALL: (usize, usize) = (64 << 20, 128 << 20);

/// "Much" and "too much" for one HTTP/2 connection: more than a client can receive in a round trip.
const OF_ONE: (usize, usize) = (8 << 20, 16 << 20);

/// The parts of a body that exist at once: one that is being sent, and the next.
const PARTS: usize = 2;

/// Of all connections of the process, across reloads.
static ALL: AtomicUsize = AtomicUsize::new(0);

/// The counter of one connection.
#[derive(Debug, Default)]
pub(crate) struct Unsent(AtomicUsize);

impl Unsent {
    /// Counts buffered bytes.
    pub(crate) fn hold(self: &Arc<Self>, bytes: usize) -> Held {
        let mut held = Held {
            of: Arc::clone(self),
            bytes: 0,
            in_all: true,
        };
        held.set(bytes);
        held
    }

    /// The number of bytes that a guest may write at once, counted until the guard is dropped.
    pub(crate) fn grant(self: &Arc<Self>) -> (usize, Held) {
        let bytes = chunk().min(steps(self.0.load(Ordering::Relaxed), OF_ONE));
        let mut held = Held {
            of: Arc::clone(self),
            bytes: 0,
            in_all: false,
        };
        held.set(bytes.saturating_mul(PARTS));
        (bytes, held)
    }
}

/// The number of bytes that a guest may write at once, given what is buffered on all connections.
pub(crate) fn chunk() -> usize {
    steps(ALL.load(Ordering::Relaxed), OF_ALL)
}

fn steps(waiting: usize, (much, too_much): (usize, usize)) -> usize {
    match waiting {
        _ if waiting >= too_much => SMALLEST_CHUNK,
        _ if waiting >= much => SMALL_CHUNK,
        _ => CHUNK,
    }
}

/// Counted bytes; dropping it releases them.
#[derive(Debug)]
pub(crate) struct Held {
    of: Arc<Unsent>,
    bytes: usize,
    in_all: bool,
}

impl Held {
    /// Changes the number.
    pub(crate) fn set(&mut self, bytes: usize) {
        for count in [Some(&self.of.0), self.in_all.then_some(&ALL)]
            .into_iter()
            .flatten()
        {
            if bytes >= self.bytes {
                count.fetch_add(bytes.saturating_sub(self.bytes), Ordering::Relaxed);
            } else {
                count.fetch_sub(self.bytes.saturating_sub(bytes), Ordering::Relaxed);
            }
        }
        self.bytes = bytes;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// Exposes it on `/metrics`.
pub(crate) struct UnsentCollector(Desc);

impl UnsentCollector {
    /// A collector to register.
    pub(crate) fn new() -> prometheus::Result<Self> {
        description("wasmgate_unsent").map(Self)
    }
}

impl Collector for UnsentCollector {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let help = "Answers that are made and wait for their readers, beyond what is small";
        let mut family = Family::gauge("wasmgate_unsent_bytes", help);
        family.show(&[], ALL.load(Ordering::Relaxed) as f64);
        family.finish().into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_waits_on_a_connection_the_less_a_guest_may_write_ahead() {
        let connection = Arc::new(Unsent::default());
        let granted: Vec<_> = (0..200).map(|_| connection.grant()).collect();
        let most: usize = granted.iter().map(|(bytes, _)| bytes * PARTS).sum();
        assert_eq!(granted.first().unwrap().0, CHUNK);
        assert_eq!(granted.last().unwrap().0, SMALLEST_CHUNK);
        assert!(most < 24 << 20, "{most}");
        drop(granted);
        let waiting = connection.hold(OF_ONE.1);
        assert_eq!(connection.grant().0, SMALLEST_CHUNK);
        drop(waiting);
        assert_eq!(connection.grant().0, CHUNK);
    }

    #[test]
    fn what_is_held_can_become_less() {
        let connection = Arc::new(Unsent::default());
        let mut held = connection.hold(100);
        held.set(40);
        assert_eq!(connection.0.load(Ordering::Relaxed), 40);
        drop(held);
        assert_eq!(connection.0.load(Ordering::Relaxed), 0);
    }
}
