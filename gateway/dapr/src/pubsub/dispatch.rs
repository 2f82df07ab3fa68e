//! The work of one queue: what is due goes out, so many at a time; what failed comes back later.
//!
//! An event that waits for its next retry takes no place among those in flight, so a subscriber
//! that fails on one event goes on receiving the others.

use std::{
    collections::{HashMap, HashSet},
    future::Future,
    sync::Arc,
    time::Duration,
};

use axum::body::Bytes;
use tokio::{
    task::{self, JoinSet},
    time::{Instant, sleep},
};

use super::{
    Queue,
    deliver::{self, Outcome},
    settle::settle,
};
use crate::{
    components::BackOff,
    runtime::Runtime,
    store::{
        StoreError,
        queue::{self, Delivery},
    },
    time::{now_ms, until},
};

/// Deliveries under way for one subscription: enough to keep all cores of a machine busy, few
/// enough that one subscriber cannot fill the gateway's own concurrency limit of 1000.
const MAX_IN_FLIGHT: usize = 64;

/// How a queue waits for an app that cannot be reached. Its events wait with it, and none of them
/// has failed.
const UNREACHABLE: BackOff = BackOff {
    first: Duration::from_millis(200),
    factor: 2.0,
    longest: Duration::from_secs(10),
    max_retries: None,
};

/// The pause after the database failed.
const DATABASE_PAUSE: Duration = Duration::from_millis(500);

/// The longest sleep without looking, should a wake-up ever be missed.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// Events to one look at the table: bounds the memory their bodies take.
const MAX_TAKEN: usize = 256;

/// Runs the queue until it is closed.
pub(super) async fn run(runtime: Arc<Runtime>, queue: Arc<Queue>) {
    let mut flight = InFlight::default();
    let mut hold = Hold::default();
    loop {
        let pause = match hold.left() {
            Some(pause) => pause,
            None => take_due(&runtime, &queue, &mut flight).unwrap_or_else(|error| {
                tracing::error!(%error, "a queue could not be read");
                DATABASE_PAUSE
            }),
        };
        tokio::select! {
            Some(reached) = flight.landed() => hold.learn(reached),
            () = queue.wake.notified() => {}
            () = sleep(pause) => {}
            () = queue.closed.cancelled() => break,
            () = runtime.stopping.cancelled() => break,
        }
    }
    // What is under way is finished, so that it is not delivered a second time for nothing.
    while flight.landed().await.is_some() {}
}

/// The deliveries under way.
#[derive(Default)]
struct InFlight {
    tasks: JoinSet<Reached>,
    /// The events of each task: also free again if a task dies.
    by_task: HashMap<task::Id, Vec<i64>>,
    events: HashSet<i64>,
}

/// Whether the app was there for a delivery.
type Reached = bool;

impl InFlight {
    fn take_off(&mut self, ids: Vec<i64>, work: impl Future<Output = Reached> + Send + 'static) {
        let task = self.tasks.spawn(work);
        self.by_task.insert(task.id(), ids);
    }

    /// Waits for a delivery to end; none if there is none.
    async fn landed(&mut self) -> Option<Reached> {
        let (id, reached) = match self.tasks.join_next_with_id().await? {
            Ok((id, reached)) => (id, reached),
            Err(died) => {
                tracing::error!(error = %died, "a delivery died");
                (died.id(), false)
            }
        };
        for event in self.by_task.remove(&id).unwrap_or_default() {
            self.events.remove(&event);
        }
        Some(reached)
    }
}

/// A queue whose app cannot be reached waits, longer each time.
#[derive(Default)]
struct Hold {
    misses: u32,
    until: Option<Instant>,
}

impl Hold {
    fn left(&self) -> Option<Duration> {
        let left = self.until?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    fn learn(&mut self, reached: Reached) {
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

/// Starts what is due, and answers how long nothing else will be.
fn take_due(
    runtime: &Arc<Runtime>,
    queue: &Arc<Queue>,
    flight: &mut InFlight,
) -> Result<Duration, StoreError> {
    let at_once = queue.subscription.bulk.unwrap_or(1);
    let room = (MAX_IN_FLIGHT * at_once).saturating_sub(flight.events.len());
    if room == 0 {
        return Ok(LONGEST_SLEEP);
    }
    let now = now_ms();
    let key = queue.subscription.key();
    // Those in flight are still in the table, and are due: they are asked for and left out.
    let limit = room.min(MAX_TAKEN) + flight.events.len();
    let mut due = runtime
        .store
        .read(|conn| queue::due(conn, key, now, limit))?;
    due.retain(|delivery| flight.events.insert(delivery.id));
    if due.is_empty() {
        let next = runtime.store.read(|conn| queue::next_due(conn, key, now))?;
        return Ok(next
            .map_or(LONGEST_SLEEP, |at| until(at, now))
            .min(LONGEST_SLEEP));
    }
    for (path, events) in by_path(queue, due) {
        for some in chunks(events, at_once) {
            let ids = some.iter().map(|(delivery, _)| delivery.id).collect();
            flight.take_off(
                ids,
                handle(runtime.clone(), queue.clone(), path.clone(), some),
            );
        }
    }
    // There may be more than was asked for: look again at once if there is room.
    Ok(Duration::ZERO)
}

type Routed = (Option<String>, Vec<(Delivery, Bytes)>);

/// The events by the path they go to, in their order.
fn by_path(queue: &Queue, due: Vec<Delivery>) -> Vec<Routed> {
    let mut routed: Vec<Routed> = Vec::new();
    for delivery in due {
        let event = deliver::envelope(queue, &delivery);
        let path = match queue.subscription.rules.as_slice() {
            [] => queue.subscription.default_path.clone(),
            _ => {
                let event = serde_json::from_slice(&event).unwrap_or_default();
                queue.subscription.path_for(&event).map(str::to_owned)
            }
        };
        match routed.iter_mut().find(|(known, _)| *known == path) {
            Some((_, events)) => events.push((delivery, event)),
            None => routed.push((path, vec![(delivery, event)])),
        }
    }
    routed
}

fn chunks<T>(mut items: Vec<T>, size: usize) -> Vec<Vec<T>> {
    let mut chunks = Vec::new();
    while items.len() > size {
        let rest = items.split_off(size);
        chunks.push(std::mem::replace(&mut items, rest));
    }
    chunks.push(items);
    chunks
}

/// Delivers some events and settles them.
async fn handle(
    runtime: Arc<Runtime>,
    queue: Arc<Queue>,
    path: Option<String>,
    events: Vec<(Delivery, Bytes)>,
) -> Reached {
    let (alive, expired): (Vec<_>, Vec<_>) = events.into_iter().partition(|(delivery, _)| {
        delivery
            .event
            .expires_at
            .is_none_or(|expires_at| expires_at > now_ms())
    });
    let mut settled: Vec<(Delivery, Outcome)> = expired
        .into_iter()
        .map(|(delivery, _)| (delivery, Outcome::Done))
        .collect();
    let outcomes = match (&path, alive.as_slice(), queue.subscription.bulk) {
        // No rule holds and there is no default: the app does not want it.
        (None, alive, _) => vec![Outcome::Done; alive.len()],
        (Some(_), [], _) => Vec::new(),
        (Some(path), alive, Some(_)) => deliver::bulk(&runtime, &queue, path, alive).await,
        (Some(path), alive, None) => {
            let mut outcomes = Vec::new();
            for event in alive {
                outcomes.push(deliver::single(&runtime, &queue, path, event).await);
            }
            outcomes
        }
    };
    settled.extend(
        alive
            .into_iter()
            .map(|(delivery, _)| delivery)
            .zip(outcomes),
    );
    let unreachable =
        |(_, outcome): &(Delivery, Outcome)| matches!(outcome, Outcome::Unreachable(_));
    let reached = !settled.iter().any(unreachable);
    if let Err(error) = settle(&runtime, &queue, settled).await {
        // They stay queued and are delivered again.
        tracing::error!(%error, "deliveries could not be settled");
        sleep(DATABASE_PAUSE).await;
    }
    reached
}
