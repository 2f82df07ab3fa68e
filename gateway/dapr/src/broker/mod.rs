//! The broker: subscriptions to topics, with a durable queue for each. Publishing, dead letters and a transaction's
//! outbox are based on it.

pub(crate) mod parked;
pub(crate) mod queue;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use parking_lot::RwLock;
use rusqlite::Connection;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub use parked::{Parked, ParkedFilter, ParkedState};
pub use queue::QueueDepth;

use crate::{
    app::{AppId, Apps},
    event::Event,
    quotas::Kept,
    store::{StoreError, usage::Meter},
    subscription::Subscription,
};

/// The subscriptions of all apps.
pub(crate) struct Broker {
    table: RwLock<Table>,
    /// For their quotas.
    apps: Arc<Apps>,
}

type Key = (String, String, String);

#[derive(Default)]
struct Table {
    queues: HashMap<Key, Arc<Queue>>,
    /// Subscribing app-ids by pub/sub component, then topic.
    by_topic: HashMap<String, HashMap<String, Vec<AppId>>>,
}

/// One subscription's queue at work.
pub(crate) struct Queue {
    pub(crate) subscription: Subscription,
    /// Something has been queued.
    pub(crate) wake: Notify,
    /// The subscription is gone or replaced.
    pub(crate) closed: CancellationToken,
    /// Nothing of it is under way any more.
    pub(crate) ended: CancellationToken,
    /// The end of the queue whose place it takes: what is under way there would be delivered twice.
    pub(crate) before: Option<CancellationToken>,
}

/// Events of one publisher with the apps that get them.
pub(crate) struct Addressed {
    publisher: AppId,
    events: Vec<(Event, Vec<AppId>)>,
    apps: Arc<Apps>,
}

impl Addressed {
    /// True if nobody gets any of them.
    pub(crate) fn is_for_nobody(&self) -> bool {
        self.events.iter().all(|(_, apps)| apps.is_empty())
    }

    /// Pub/sub component and topic of each.
    pub(crate) fn topics(&self) -> Vec<(String, String)> {
        let events = self.events.iter();
        events
            .map(|(event, _)| (event.pubsub.clone(), event.topic.clone()))
            .collect()
    }

    /// The number of rows that they are in the queues.
    pub(crate) fn rows(&self) -> usize {
        self.events.iter().map(|(_, apps)| apps.len()).sum()
    }

    /// The same events in pieces of about `most` rows.
    pub(crate) fn in_pieces(self, most: usize) -> Vec<Self> {
        let piece = |events| Self {
            publisher: self.publisher.clone(),
            events,
            apps: Arc::clone(&self.apps),
        };
        let mut pieces = vec![piece(Vec::new())];
        let mut rows = 0;
        for (event, apps) in self.events {
            if rows >= most {
                pieces.push(piece(Vec::new()));
                rows = 0;
            }
            rows += apps.len();
            if let Some(Self { events, .. }) = pieces.last_mut() {
                events.push((event, apps));
            }
        }
        pieces
    }

    /// Queues them for their apps, all or none: where one of those, or the publisher, would keep more than it may, the
    /// publisher is refused. Nothing that was acknowledged makes room.
    pub(crate) fn push(&self, conn: &Connection, now: i64) -> Result<(), StoreError> {
        if self.is_for_nobody() {
            return Ok(());
        }
        let readers: BTreeSet<_> = self.events.iter().flat_map(|(_, apps)| apps).collect();
        let accounts = readers.into_iter().map(|app| (app, Kept::Queue));
        let accounts = accounts.chain([(&self.publisher, Kept::Published)]);
        let meters = accounts.map(|(app, kept)| Meter::read(conn, app, kept, &self.apps.quotas_of(app)));
        let meters = meters.collect::<Result<Vec<_>, _>>()?;
        for (event, apps) in &self.events {
            queue::push(
                conn,
                &self.publisher,
                event,
                apps.iter().map(AppId::as_str),
                now,
            )?;
        }
        meters
            .into_iter()
            .try_for_each(|meter| meter.check(conn, Some(queue::sweep)))
    }
}

impl Broker {
    pub(crate) fn new(apps: Arc<Apps>) -> Self {
        Self {
            table: RwLock::default(),
            apps,
        }
    }

    /// Looks up who gets these events of `publisher`.
    pub(crate) fn address(&self, publisher: &AppId, events: Vec<Event>) -> Addressed {
        let addressed = events.into_iter().map(|event| {
            let apps = self.subscribers(&event.pubsub, &event.topic);
            (event, apps)
        });
        Addressed {
            publisher: publisher.clone(),
            events: addressed.collect(),
            apps: Arc::clone(&self.apps),
        }
    }

    /// The apps that subscribe to `topic`.
    pub(crate) fn subscribers(&self, pubsub: &str, topic: &str) -> Vec<AppId> {
        let table = self.table.read();
        let topics = table.by_topic.get(pubsub);
        topics
            .and_then(|topics| topics.get(topic))
            .cloned()
            .unwrap_or_default()
    }

    /// Tells the queues of `topic` that something came.
    pub(crate) fn wake(&self, pubsub: &str, topic: &str) {
        let table = self.table.read();
        let apps = table
            .by_topic
            .get(pubsub)
            .and_then(|topics| topics.get(topic));
        for app in apps.into_iter().flatten() {
            let key = (app.to_string(), pubsub.to_owned(), topic.to_owned());
            if let Some(queue) = table.queues.get(&key) {
                queue.wake.notify_one();
            }
        }
    }

    /// Tells the queues of these topics that something came.
    pub(crate) fn wake_all(&self, topics: &[(String, String)]) {
        for (pubsub, topic) in topics {
            self.wake(pubsub, topic);
        }
    }

    /// The subscriptions of `app`.
    pub(crate) fn subscriptions_of(&self, app: &AppId) -> Vec<Arc<Queue>> {
        let table = self.table.read();
        let is_its_own = |queue: &&Arc<Queue>| queue.subscription.app == *app;
        table.queues.values().filter(is_its_own).cloned().collect()
    }

    /// Every subscription of every app.
    pub(crate) fn all(&self) -> Vec<Arc<Queue>> {
        self.table.read().queues.values().cloned().collect()
    }

    /// Puts `subscriptions` in the place of all that `app` had, and answers with the queues that are new. One that is
    /// as it was goes on.
    pub(crate) fn replace(&self, app: &AppId, subscriptions: Vec<Subscription>) -> Vec<Arc<Queue>> {
        let mut table = self.table.write();
        let mut had = HashMap::new();
        let own = table
            .queues
            .extract_if(|(owner, ..), _| owner == app.as_str());
        had.extend(own);
        for apps in table.by_topic.values_mut().flat_map(HashMap::values_mut) {
            apps.retain(|other| other != app);
        }
        let mut queues = Vec::new();
        for subscription in subscriptions {
            let (pubsub, topic) = (subscription.pubsub.clone(), subscription.topic.clone());
            let key = (app.to_string(), pubsub.clone(), topic.clone());
            if table.queues.contains_key(&key) {
                tracing::warn!(app_id = %app, %pubsub, %topic, "a second subscription to a topic is ignored");
                continue;
            }
            let before = had.remove(&key);
            let same = before
                .as_ref()
                .filter(|queue| queue.subscription.is_same(&subscription));
            let is_new = same.is_none();
            let queue = match same {
                Some(queue) => Arc::clone(queue),
                None => Arc::new(Queue {
                    subscription,
                    wake: Notify::new(),
                    closed: CancellationToken::new(),
                    ended: CancellationToken::new(),
                    before: before.map(|queue| {
                        queue.closed.cancel();
                        queue.ended.clone()
                    }),
                }),
            };
            table.queues.insert(key, queue.clone());
            table
                .by_topic
                .entry(pubsub)
                .or_default()
                .entry(topic)
                .or_default()
                .push(app.clone());
            if is_new {
                queues.push(queue);
            }
        }
        had.values().for_each(|queue| queue.closed.cancel());
        queues
    }
}
