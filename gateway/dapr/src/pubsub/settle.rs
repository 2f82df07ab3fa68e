//! Events after a delivery: gone, tried again later, or dead letters.

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
    let (pubsub, dead_letter) = (&subscription.pubsub, subscription.dead_letter_topic.clone());
    let readers = dead_letter
        .as_ref()
        .map(|topic| block.broker.subscribers(pubsub, topic));
    let policy = block
        .components
        .load()
        .resiliency
        .inbound(&subscription.app, ComponentType::PubSub, pubsub);
    let back_off = policy
        .retry
        .map_or(BackOff::DELIVERY, |retry| retry.back_off);
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
    let (topic, rows) = (dead_letter.clone(), settled.len());
    let owner = subscription.app.clone();
    let room = Room::of(block, &owner, readers.as_deref().unwrap_or_default());
    let settle_all = move |conn: &rusqlite::Connection| {
        let (mut results, mut given_up) = (Vec::with_capacity(settled.len()), Vec::new());
        for (mut delivery, outcome) in settled {
            let (id, now) = (delivery.id, now_ms());
            let last = match outcome {
                Outcome::Done => {
                    queue::remove(conn, id)?;
                    results.push(DeliveryResult::Done);
                    continue;
                }
                Outcome::Expired => {
                    queue::remove(conn, id)?;
                    results.push(DeliveryResult::Expired);
                    continue;
                }
                // It stays as it is; the queue waits.
                Outcome::Unreachable(_) => {
                    results.push(DeliveryResult::Unreachable);
                    continue;
                }
                Outcome::Retry(_) => back_off.pause(delivery.attempts),
                Outcome::Drop(_) => None,
                Outcome::Park(_) => {
                    queue::reschedule(conn, id, delivery.attempts, PARKED)?;
                    continue;
                }
            };
            let dropped = matches!(outcome, Outcome::Drop(_));
            match (last, &topic) {
                (Some(pause), _) => {
                    queue::reschedule(conn, id, delivery.attempts + 1, later(now, pause))?;
                    results.push(DeliveryResult::Retry);
                }
                // A full queue of dead letters takes none, and the event stays where it counts already.
                (None, Some(_)) if !room.is_there(conn, &delivery.event)? => {
                    queue::reschedule(conn, id, delivery.attempts + 1, PARKED)?;
                    results.push(DeliveryResult::Parked);
                    given_up.push((id, DeliveryResult::Parked));
                }
                (None, Some(topic)) => {
                    queue::remove(conn, id)?;
                    delivery.event.topic.clone_from(topic);
                    results.push(DeliveryResult::DeadLettered);
                    given_up.push((id, DeliveryResult::DeadLettered));
                    let readers = readers.as_deref().unwrap_or_default();
                    match readers {
                        [] => queue::push(conn, &owner, &delivery.event, [""], now)?,
                        readers => {
                            queue::push(
                                conn,
                                &owner,
                                &delivery.event,
                                readers.iter().map(AppId::as_str),
                                now,
                            )?;
                        }
                    }
                }
                (None, None) if dropped => {
                    queue::remove(conn, id)?;
                    results.push(DeliveryResult::Dropped);
                }
                (None, None) => {
                    queue::reschedule(conn, id, delivery.attempts + 1, PARKED)?;
                    results.push(DeliveryResult::Parked);
                    given_up.push((id, DeliveryResult::Parked));
                }
            }
        }
        Ok::<_, StoreError>((results, given_up))
    };
    let written = block.store.write_for(&subscription.app, rows, settle_all);
    let (results, given_up) = written.await?;
    for result in results {
        count(result);
    }
    for (id, result) in given_up {
        log_end(queue, id, result, dead_letter.as_deref());
    }
    if let Some(topic) = dead_letter {
        block.broker.wake(pubsub, &topic);
    }
    Ok(())
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
