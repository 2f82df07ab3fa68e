//! The dispatcher of one queue: sends what is due, a limited number at once, and retries failures later.
//!
//! An event that waits for its next retry does not count as in flight, so a subscriber that fails on one event still
//! receives others.

use std::{sync::Arc, time::Duration};

use axum::body::Bytes;
use tokio::{task, time::sleep};

use super::{
    PubSub, deliver,
    flight::{Hold, InFlight, Reached, Reserved},
    outcome::Outcome,
    settle::settle,
};
use crate::{
    broker::{
        Queue,
        queue::{self, Delivery},
    },
    json,
    store::StoreError,
    subscription::rules::TooLong,
    time::{later, now_ms, until},
};

/// The pause after the database failed.
const DATABASE_PAUSE: Duration = Duration::from_millis(500);

/// The longest sleep without looking, should a wake-up ever be missed.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// Runs the queue until it is closed.
pub(super) async fn run(block: Arc<PubSub>, queue: Arc<Queue>) {
    let mut flight = InFlight::default();
    let mut hold = Hold::default();
    let mut freed = block.slots.freed();
    if let Some(before) = &queue.before {
        tokio::select! {
            () = before.cancelled() => {}
            () = queue.closed.cancelled() => {}
            () = block.background.stopped() => {}
        }
    }
    loop {
        freed.mark_unchanged();
        let pause = match hold.left() {
            Some(pause) => pause,
            None => take_due(&block, &queue, &mut flight)
                .await
                .unwrap_or_else(|error| {
                    tracing::error!(%error, "a queue could not be read");
                    DATABASE_PAUSE
                }),
        };
        tokio::select! {
            Some(reached) = flight.collect() => hold.learn(reached),
            () = queue.wake.notified() => {}
            _ = freed.changed(), if flight.lacks_places => {}
            () = sleep(pause) => {}
            () = queue.closed.cancelled() => break,
            () = block.background.stopped() => break,
        }
    }
    // What is under way is finished, so that it is not delivered a second time for nothing.
    while flight.collect().await.is_some() {}
    // Not before that of the one before: whoever takes this one's place waits for both.
    if let Some(before) = &queue.before {
        before.cancelled().await;
    }
    queue.ended.cancel();
}

/// Starts what is due, and answers how long nothing else will be.
async fn take_due(block: &Arc<PubSub>, queue: &Arc<Queue>, flight: &mut InFlight) -> Result<Duration, StoreError> {
    let bulk = queue.subscription.bulk;
    let at_once = bulk.map_or(1, |bulk| bulk.most);
    let room = flight.room(at_once);
    if room == 0 {
        return Ok(LONGEST_SLEEP);
    }
    let now = now_ms();
    let key = queue.subscription.key();
    // Those in flight are still in the table, and are due: they are asked for and left out.
    let limit = room + flight.events.len();
    let mut due = block.store.read(|conn| queue::due(conn, key, now, limit))?;
    due.retain(|event| !flight.events.contains_key(&event.id));
    let Some(oldest) = due.first() else {
        let next = block.store.read(|conn| queue::next_due(conn, key, now))?;
        return Ok(next
            .map_or(LONGEST_SLEEP, |at| until(at, now))
            .min(LONGEST_SLEEP));
    };
    if let Some(bulk) = bulk.filter(|bulk| due.len() < bulk.most) {
        // More may come, to go with them.
        let wait = until(later(oldest.at, bulk.longest_wait), now);
        if !wait.is_zero() {
            return Ok(wait);
        }
    }
    let deliveries = flight.deliveries().min(due.len().div_ceil(at_once));
    let places = block.slots.take(&queue.subscription.app, deliveries);
    flight.lacks_places = places.len() < deliveries;
    if places.is_empty() {
        return Ok(LONGEST_SLEEP);
    }
    let fits = due
        .iter()
        .take(room.min(places.len() * at_once))
        .take_while(|event| flight.reserve(event) != Reserved::NoRoom);
    let ids: Vec<i64> = fits.map(|event| event.id).collect();
    let loaded = block.store.read(|conn| queue::load(conn, &ids));
    let loaded = loaded.inspect_err(|_| ids.iter().for_each(|id| flight.release(*id)))?;
    for id in &ids {
        if !loaded.iter().any(|delivery| delivery.id == *id) {
            flight.release(*id);
        }
    }
    let mut work: Vec<_> = places
        .into_iter()
        .map(|place| (place, Vec::new()))
        .collect();
    let routed = by_route(queue, loaded).await.into_iter();
    let deliveries = routed.flat_map(|(route, events)| {
        let chunks = chunks(events, at_once).into_iter();
        chunks.map(move |some| (route.clone(), some))
    });
    // By several routes they may be more than places: those of one place go one after the other.
    for (turn, delivery) in deliveries.enumerate() {
        let at = turn % work.len();
        if let Some((_, own)) = work.get_mut(at) {
            own.push(delivery);
        }
    }
    for (place, own) in work.into_iter().filter(|(_, own)| !own.is_empty()) {
        let events = own.iter().flat_map(|(_, some)| some);
        let ids = events.map(|(delivery, _)| delivery.id).collect();
        let (block, queue) = (block.clone(), queue.clone());
        flight.spawn(ids, async move {
            let mut reached = true;
            for (route, some) in own {
                reached &= handle(&block, &queue, route, some).await;
            }
            drop(place);
            reached
        });
    }
    // There may be more than was asked for: look again at once if there is room.
    Ok(Duration::ZERO)
}

/// The way of events: a path, nowhere since no rule holds, or one that cannot be told.
type Route = Result<Option<String>, TooLong>;

type Routed = (Route, Vec<(Delivery, Bytes)>);

/// The events by where they go, in their order.
async fn by_route(queue: &Queue, due: Vec<Delivery>) -> Vec<Routed> {
    let subscription = &queue.subscription;
    let mut routed: Vec<Routed> = Vec::new();
    for delivery in due {
        let event = deliver::envelope(queue, &delivery);
        let route = match subscription.rules.as_slice() {
            [] => Ok(subscription.default_path.clone()),
            _ => {
                // Each takes as long as its rules may, and other queues share the thread.
                task::yield_now().await;
                let event = json::from_slice(&event).unwrap_or_default();
                subscription
                    .path_for(&event)
                    .map(|path| path.map(str::to_owned))
            }
        };
        match routed.iter_mut().find(|(known, _)| *known == route) {
            Some((_, events)) => events.push((delivery, event)),
            None => routed.push((route, vec![(delivery, event)])),
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
async fn handle(block: &PubSub, queue: &Queue, route: Route, events: Vec<(Delivery, Bytes)>) -> Reached {
    let (alive, expired): (Vec<_>, Vec<_>) = events.into_iter().partition(|(delivery, _)| {
        delivery
            .event
            .expires_at
            .is_none_or(|expires_at| expires_at > now_ms())
    });
    let mut settled: Vec<(Delivery, Outcome)> = expired
        .into_iter()
        .map(|(delivery, _)| (delivery, Outcome::Expired))
        .collect();
    let outcomes = match &route {
        Err(error) => vec![Outcome::Park(error.to_string()); alive.len()],
        // No rule holds and there is no default: the app does not want it.
        Ok(None) => vec![Outcome::Done; alive.len()],
        Ok(Some(path)) => deliver::deliver(block, queue, path, &alive).await,
    };
    settled.extend(
        alive
            .into_iter()
            .map(|(delivery, _)| delivery)
            .zip(outcomes),
    );
    let unreachable = |(_, outcome): &(Delivery, Outcome)| matches!(outcome, Outcome::Unreachable(_));
    let reached = !settled.iter().any(unreachable);
    if let Err(error) = settle(block, queue, settled).await {
        // They stay queued and are delivered again.
        tracing::error!(%error, "deliveries could not be settled");
        sleep(DATABASE_PAUSE).await;
    }
    reached
}
