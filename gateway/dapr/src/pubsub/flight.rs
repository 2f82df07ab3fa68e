//! The deliveries in flight of one queue, and the pause of a queue whose app is unreachable.

use std::{collections::HashMap, future::Future, time::Duration};

use tokio::{
    task::{self, JoinSet},
    time::Instant,
};

use crate::{back_off::BackOff, broker::queue::Due, subscription::BULK_MAX};

/// Deliveries under way for one subscription: enough to keep all cores of a machine busy, few
/// enough that one subscriber cannot fill the gateway's own concurrency limit of 1000.
const MAX_IN_FLIGHT: usize = 64;

/// Events under way for one subscription, in bulk deliveries too: one of the largest, or many of fewer.
const MAX_EVENTS: usize = BULK_MAX;

/// Bytes of events under way for one subscription: a few of the largest, which have 4 MiB. A single event always goes.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// The pauses of a queue whose app cannot be reached. Its events wait with it, and none of them
/// has failed.
const UNREACHABLE: BackOff = BackOff {
    first: Duration::from_millis(200),
    factor: 2.0,
    longest: Duration::from_secs(10),
    max_retries: None,
};

/// The deliveries under way.
#[derive(Default)]
pub(super) struct InFlight {
    tasks: JoinSet<Reached>,
    /// The events of each task: also free again if a task dies.
    by_task: HashMap<task::Id, Vec<i64>>,
    /// The events and their lengths.
    pub(super) events: HashMap<i64, usize>,
    bytes: usize,
    /// Something is due, and there was no place to deliver it.
    pub(super) lacks_places: bool,
}

/// True if the app was there for a delivery.
pub(super) type Reached = bool;

#[derive(PartialEq, Eq)]
pub(super) enum Reserved {
    Now,
    Before,
    NoRoom,
}

impl InFlight {
    /// The number of deliveries that may still go.
    pub(super) fn deliveries(&self) -> usize {
        MAX_IN_FLIGHT.saturating_sub(self.by_task.len())
    }

    /// The number of events that may still go, with so many in a delivery.
    pub(super) fn room(&self, at_once: usize) -> usize {
        let deliveries = self.deliveries();
        let events = MAX_EVENTS.saturating_sub(self.events.len());
        if self.bytes >= MAX_BYTES {
            return 0;
        }
        events.min(deliveries * at_once)
    }

    /// Reserves the place of an event; false if it is under way already, or too large to go beside the others.
    pub(super) fn reserve(&mut self, due: &Due) -> Reserved {
        if self.events.contains_key(&due.id) {
            return Reserved::Before;
        }
        if self.bytes > 0 && self.bytes + due.bytes > MAX_BYTES {
            return Reserved::NoRoom;
        }
        self.events.insert(due.id, due.bytes);
        self.bytes += due.bytes;
        Reserved::Now
    }

    pub(super) fn release(&mut self, event: i64) {
        self.bytes -= self.events.remove(&event).unwrap_or_default();
    }

    pub(super) fn spawn(&mut self, ids: Vec<i64>, work: impl Future<Output = Reached> + Send + 'static) {
        let task = self.tasks.spawn(work);
        self.by_task.insert(task.id(), ids);
    }

    /// Waits for a delivery to end; none if there is none.
    pub(super) async fn collect(&mut self) -> Option<Reached> {
        let (id, reached) = match self.tasks.join_next_with_id().await? {
            Ok((id, reached)) => (id, reached),
            Err(died) => {
                tracing::error!(error = %died, "a delivery died");
                (died.id(), false)
            }
        };
        for event in self.by_task.remove(&id).unwrap_or_default() {
            self.release(event);
        }
        Some(reached)
    }
}

/// A queue whose app cannot be reached waits, longer each time.
#[derive(Default)]
pub(super) struct Hold {
    misses: u32,
    until: Option<Instant>,
}

impl Hold {
    pub(super) fn left(&self) -> Option<Duration> {
        let left = self.until?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    pub(super) fn learn(&mut self, reached: Reached) {
        if reached {
            *self = Self::default();
        } else if self.left().is_none() {
            let pause = UNREACHABLE
                .pause(self.misses)
                .unwrap_or(UNREACHABLE.longest);
            self.until = Some(Instant::now() + pause);
            self.misses += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(id: i64, bytes: usize) -> Due {
        Due { id, at: 0, bytes }
    }

    #[test]
    fn what_is_under_way_is_bounded_in_events_and_bytes() {
        let mut flight = InFlight::default();
        assert_eq!(flight.room(1), MAX_IN_FLIGHT);
        // A bulk may be as large as an app may ask for.
        assert_eq!(flight.room(BULK_MAX), BULK_MAX);
        for id in 0..10 {
            assert!(flight.reserve(&due(id, 1)) == Reserved::Now);
        }
        assert_eq!(flight.room(BULK_MAX), BULK_MAX - 10);
        assert!(flight.reserve(&due(3, 1)) == Reserved::Before);
        assert!(flight.reserve(&due(10, MAX_BYTES)) == Reserved::NoRoom);
        for id in 0..10 {
            flight.release(id);
        }
        // Alone, the largest goes.
        assert!(flight.reserve(&due(10, 2 * MAX_BYTES)) == Reserved::Now);
        assert_eq!(flight.room(BULK_MAX), 0);
        flight.release(10);
        assert_eq!(flight.room(1), MAX_IN_FLIGHT);
    }
}
