//! What happens to events after a delivery: deleted, retried later, or dead letters.

use super::{PubSub, outcome::Outcome};
use crate::{
    app::{AppId, DeliveryKind, DeliveryResult},
    back_off::BackOff,
    broker::{
        Queue,
        queue::{self, Delivery, PARKED},
    },
    components::ComponentType,
    event::Event,
    quotas::{Kept, Quotas},
    store::{StoreError, usage::Meter},
    time::{later, now_ms},
};

/// Writes down the outcomes of deliveries.
pub(super) async fn settle(block: &PubSub, queue: &Queue, settled: Vec<(Delivery, Outcome)>) -> Result<(), StoreError> {
    let subscription = &queue.subscription;
    for (delivery, outcome) in &settled {
        log(queue, delivery, outcome);
    }
    let count = |result| {
        block
            .apps
            .settled(&subscription.app, DeliveryKind::Event, result)
    };
    if settled
        .iter()
        .all(|(_, outcome)| matches!(outcome, Outcome::Unreachable(_)))
    {
        for _ in &settled {
            count(DeliveryResult::Unreachable);
        }
        return Ok(());
    }
    let (end, rows) = (End::of(block, queue), settled.len());
    let settle_all = move |conn: &rusqlite::Connection| {
        let ends = settled
            .into_iter()
            .map(|(delivery, outcome)| Ok((delivery.id, end.settle(conn, delivery, &outcome)?)));
        ends.collect::<Result<Vec<_>, StoreError>>()
    };
    let written = block.store.write_for(&subscription.app, rows, settle_all);
    let dead_letter = subscription.dead_letter_topic.as_deref();
    for (id, result) in written.await? {
        let Some(result) = result else { continue };
        count(result);
        if matches!(
            result,
            DeliveryResult::Parked | DeliveryResult::DeadLettered
        ) {
            log_end(queue, id, result, dead_letter);
        }
    }
    if let Some(topic) = dead_letter {
        block.broker.wake(&subscription.pubsub, topic);
    }
    Ok(())
}

/// What becomes of a subscription's events, as one transaction has it.
struct End {
    back_off: BackOff,
    app: AppId,
    dead_letter: Option<DeadLetter>,
}

/// Where the dead letters go.
struct DeadLetter {
    topic: String,
    readers: Vec<AppId>,
    room: Room,
}

impl End {
    fn of(block: &PubSub, queue: &Queue) -> Self {
        let (app, pubsub) = (&queue.subscription.app, &queue.subscription.pubsub);
        let policy = block
            .components
            .load()
            .resiliency
            .inbound(app, ComponentType::PubSub, pubsub);
        let dead_letter = queue.subscription.dead_letter_topic.clone().map(|topic| {
            let readers = block.broker.subscribers(pubsub, &topic);
            let room = Room::of(block, app, &readers);
            DeadLetter {
                topic,
                readers,
                room,
            }
        });
        Self {
            back_off: policy
                .retry
                .map_or(BackOff::DELIVERY, |retry| retry.back_off),
            app: app.clone(),
            dead_letter,
        }
    }

    /// Settles one event; `None` where its end has been told already.
    fn settle(
        &self,
        conn: &rusqlite::Connection,
        delivery: Delivery,
        outcome: &Outcome,
    ) -> Result<Option<DeliveryResult>, StoreError> {
        let (id, attempts) = (delivery.id, delivery.attempts);
        let result = match (outcome, &self.dead_letter) {
            (Outcome::Done, _) => {
                queue::remove(conn, id)?;
                DeliveryResult::Done
            }
            (Outcome::Expired, _) => {
                queue::remove(conn, id)?;
                DeliveryResult::Expired
            }
            // It stays as it is; the queue waits.
            (Outcome::Unreachable(_), _) => DeliveryResult::Unreachable,
            (Outcome::Park(_), _) => {
                queue::reschedule(conn, id, attempts, PARKED)?;
                return Ok(None);
            }
            (Outcome::Drop(_), None) => {
                queue::remove(conn, id)?;
                DeliveryResult::Dropped
            }
            (Outcome::Drop(_), Some(_)) => self.give_up(conn, delivery)?,
            (Outcome::Retry(_), _) => match self.back_off.pause(attempts) {
                Some(pause) => {
                    queue::reschedule(conn, id, attempts + 1, later(now_ms(), pause))?;
                    DeliveryResult::Retry
                }
                None => self.give_up(conn, delivery)?,
            },
        };
        Ok(Some(result))
    }

    /// Makes a dead letter of an event. Without a topic for it, or room there, it stays where it counts already.
    fn give_up(&self, conn: &rusqlite::Connection, mut delivery: Delivery) -> Result<DeliveryResult, StoreError> {
        let id = delivery.id;
        match &self.dead_letter {
            Some(dead_letter) if dead_letter.room.is_there(conn, &delivery.event)? => {
                queue::remove(conn, id)?;
                delivery.event.topic.clone_from(&dead_letter.topic);
                let event = &delivery.event;
                match dead_letter.readers.as_slice() {
                    [] => queue::push(conn, &self.app, event, [""], now_ms())?,
                    readers => {
                        let readers = readers.iter().map(AppId::as_str);
                        queue::push(conn, &self.app, event, readers, now_ms())?;
                    }
                }
                Ok(DeliveryResult::DeadLettered)
            }
            _ => {
                queue::reschedule(conn, id, delivery.attempts + 1, PARKED)?;
                Ok(DeliveryResult::Parked)
            }
        }
    }
}

/// The accounts in which the dead letters of one app count.
struct Room(Vec<(AppId, Kept, Quotas)>);

impl Room {
    fn of(block: &PubSub, owner: &AppId, readers: &[AppId]) -> Self {
        let readers = readers.iter().map(|app| (app, Kept::Queue));
        let accounts = readers.chain([(owner, Kept::Published)]);
        Self(
            accounts
                .map(|(app, kept)| (app.clone(), kept, block.apps.quotas_of(app)))
                .collect(),
        )
    }

    /// Returns whether there is room for one more event in each.
    fn is_there(&self, conn: &rusqlite::Connection, event: &Event) -> Result<bool, StoreError> {
        let bytes = queue::bytes_of(event);
        for (app, kept, quotas) in &self.0 {
            if !Meter::read(conn, app, *kept, quotas)?.has_room(bytes) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn log(queue: &Queue, delivery: &Delivery, outcome: &Outcome) {
    let (app_id, pubsub, topic) = queue.subscription.key();
    let (id, attempts) = (delivery.id, delivery.attempts);
    match outcome {
        Outcome::Done | Outcome::Expired => {}
        Outcome::Retry(reason) => {
            tracing::warn!(app_id, pubsub, topic, id, attempts, %reason, "an event was not taken");
        }
        Outcome::Drop(reason) => {
            tracing::warn!(app_id, pubsub, topic, id, attempts, %reason, "an event was dropped");
        }
        Outcome::Park(reason) => {
            tracing::error!(app_id, pubsub, topic, id, %reason, "an event is parked");
        }
        Outcome::Unreachable(reason) => {
            tracing::debug!(app_id, pubsub, topic, %reason, "a subscriber cannot be reached");
        }
    }
}

/// Tells where an event is now that nothing delivers it to this app any more; `id` is its number in the list of parked
/// events.
fn log_end(queue: &Queue, id: i64, result: DeliveryResult, dead_letter: Option<&str>) {
    let (app_id, pubsub, topic) = queue.subscription.key();
    match (result, dead_letter) {
        (DeliveryResult::DeadLettered, Some(dead_letter)) => {
            tracing::warn!(
                app_id,
                pubsub,
                topic,
                id,
                dead_letter,
                "an event went to the dead-letter topic"
            );
        }
        _ => {
            let reason = match dead_letter {
                None => "its retries are used up and its subscription has no dead-letter topic",
                Some(_) => "its retries are used up and the queue of its dead-letter topic is full",
            };
            tracing::error!(app_id, pubsub, topic, id, reason, "an event is parked");
        }
    }
}
