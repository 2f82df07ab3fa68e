//! The queues for an operator, who sees them and does something about events that are stuck.

use std::collections::BTreeSet;

use super::Dapr;
use crate::{
    broker::{Parked, ParkedFilter, QueueDepth, parked, queue},
    store::StoreError,
    time::now_ms,
};

impl Dapr {
    /// The depth of each queue; queues in which nothing waits are left out.
    pub async fn queues(&self) -> Vec<QueueDepth> {
        let depths = self.0.store.scan(queue::depths).await;
        depths.unwrap_or_else(|error| {
            tracing::error!(%error, "the queues could not be read");
            Vec::new()
        })
    }

    /// Every queue, those of subscriptions for which nothing waits included.
    pub async fn all_queues(&self) -> Vec<QueueDepth> {
        let mut queues = self.queues().await;
        let waiting: BTreeSet<_> = queues
            .iter()
            .map(|queue| (&*queue.app_id, &*queue.pubsub, &*queue.topic))
            .collect();
        let subscriptions = self.0.broker.all();
        let idle: Vec<_> = subscriptions
            .iter()
            .map(|queue| queue.subscription.key())
            .filter(|key| !waiting.contains(key))
            .map(|(app_id, pubsub, topic)| QueueDepth {
                app_id: app_id.to_owned(),
                pubsub: pubsub.to_owned(),
                topic: topic.to_owned(),
                waiting: 0,
                parked: 0,
                oldest_waiting: None,
                oldest_parked: None,
            })
            .collect();
        queues.extend(idle);
        queues
    }

    /// Up to `limit` events that nothing will deliver by itself, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn parked(&self, filter: ParkedFilter, limit: usize) -> Result<Vec<Parked>, StoreError> {
        let list = move |conn: &rusqlite::Connection| parked::list(conn, &filter, limit);
        self.0.store.scan(list).await
    }

    /// Delivers parked events again, as after their app was mended; answers how many there were.
    /// Dead letters that nobody subscribes to are not among them: they go out when somebody does.
    ///
    /// # Errors
    /// When the database cannot be written; some events may have been released then.
    pub async fn release_parked(&self, filter: ParkedFilter) -> Result<u64, StoreError> {
        let (mut released, mut after, now) = (0, 0, now_ms());
        loop {
            let filter = filter.clone();
            let release = move |conn: &rusqlite::Connection| parked::release(conn, &filter, now, after);
            let some = self.0.store.write(release).await?;
            released += some.len() as u64;
            let last = some.len() < parked::BATCH;
            after = some.iter().map(|(id, ..)| *id).max().unwrap_or(after);
            let topics = some.into_iter().map(|(_, pubsub, topic)| (pubsub, topic));
            for (pubsub, topic) in topics.collect::<BTreeSet<_>>() {
                self.0.broker.wake(&pubsub, &topic);
            }
            if last {
                return Ok(released);
            }
        }
    }

    /// Removes parked events and dead letters that nobody subscribes to, for good; answers how many
    /// there were.
    ///
    /// # Errors
    /// When the database cannot be written; some events may have been removed then.
    pub async fn drop_parked(&self, filter: ParkedFilter) -> Result<u64, StoreError> {
        let mut dropped = 0;
        loop {
            let filter = filter.clone();
            let drop_some = move |conn: &rusqlite::Connection| parked::drop_some(conn, &filter);
            let some: usize = self.0.store.write(drop_some).await?;
            dropped += some as u64;
            if some < parked::BATCH {
                return Ok(dropped);
            }
        }
    }
}
