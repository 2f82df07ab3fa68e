//! The queues for operators: inspecting and handling undeliverable events.

use std::collections::{BTreeMap, BTreeSet};

use super::Dapr;
use crate::{
    app::AppId,
    broker::{Parked, ParkedFilter, QueueDepth, parked, queue},
    quotas::Kept,
    store::{StoreError, usage},
    time::now_ms,
};

/// One quota of one app.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// The app.
    pub app_id: String,
    /// The key of the limit in the configuration, such as `state` or `jobs`.
    pub quota: &'static str,
    /// Bytes or things that it keeps.
    pub used: u64,
    /// As many as it may keep.
    pub limit: u64,
    /// Writes that were refused for it since the start.
    pub refused: u64,
}

impl Dapr {
    /// What the quotas of each app limit, of apps that keep something or were refused.
    pub async fn usage(&self) -> Vec<Usage> {
        let used = self.0.store.scan(usage::all_used).await;
        let used = used.unwrap_or_else(|error| {
            tracing::error!(%error, "what is kept could not be read");
            Vec::new()
        });
        let mut refused = self.0.store.refused();
        let mut found = Vec::new();
        for (app_id, kept, used) in used {
            let Ok(app) = AppId::new(&app_id) else {
                continue;
            };
            let limits = kept.limits(&self.0.apps.quotas_of(&app));
            let pairs = [(used.bytes, limits.bytes), (used.items, limits.items)];
            for (quota, (used, limit)) in kept.keys().into_iter().zip(pairs) {
                let refused = refused.remove(&(app.clone(), quota)).unwrap_or_default();
                if used > 0 || refused > 0 {
                    found.push(Usage {
                        app_id: app_id.clone(),
                        quota,
                        used,
                        limit,
                        refused,
                    });
                }
            }
        }
        for ((app, quota), refused) in refused {
            let quotas = self.0.apps.quotas_of(&app);
            let limits = Kept::ALL.into_iter().find_map(|kept| {
                let [bytes, items] = kept.keys();
                let limits = kept.limits(&quotas);
                [(bytes, limits.bytes), (items, limits.items)]
                    .into_iter()
                    .find(|(key, _)| *key == quota)
            });
            found.push(Usage {
                app_id: app.to_string(),
                quota,
                used: 0,
                limit: limits.map_or(0, |(_, limit)| limit),
                refused,
            });
        }
        found
    }

    /// The circuits of circuit breakers: app, name of the policy, state (`closed`, `open`, `half-open`), and how many
    /// there are. An app has one for each target that it has called.
    pub fn circuits(&self) -> BTreeMap<(AppId, String, &'static str), u64> {
        self.0.api.components.load().resiliency.circuits()
    }

    /// Writes that wait for the database.
    pub fn waiting_writes(&self) -> usize {
        self.0.store.waiting_writes()
    }

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
