//! Publish and subscribe: a durable queue for each subscription, delivered at least once.

pub(crate) mod deliver;
mod dispatch;
mod settle;

use std::{collections::HashMap, sync::Arc};

use parking_lot::RwLock;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    app::AppId,
    components::Declared,
    event::Event,
    runtime::Runtime,
    store::{StoreError, queue},
    subscription::{Spec, Subscription},
    time::now_ms,
};

/// The subscriptions of all apps.
#[derive(Default)]
pub(crate) struct Broker {
    table: RwLock<Table>,
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
}

impl Broker {
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

    /// Every subscription, for the metadata of `app`.
    pub(crate) fn of_app(&self, app: &AppId) -> Vec<Arc<Queue>> {
        let table = self.table.read();
        let of_app = |queue: &&Arc<Queue>| queue.subscription.app == *app;
        table.queues.values().filter(of_app).cloned().collect()
    }

    /// Every subscription of every app.
    pub(crate) fn all(&self) -> Vec<Arc<Queue>> {
        self.table.read().queues.values().cloned().collect()
    }

    /// Puts `subscriptions` in the place of all that `app` had, and answers with their queues.
    fn replace(&self, app: &AppId, subscriptions: Vec<Subscription>) -> Vec<Arc<Queue>> {
        let mut table = self.table.write();
        table.queues.retain(|(owner, ..), queue| {
            if owner == app.as_str() {
                queue.closed.cancel();
            }
            owner != app.as_str()
        });
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
            let closed = CancellationToken::new();
            let queue = Arc::new(Queue {
                subscription,
                wake: Notify::new(),
                closed,
            });
            table.queues.insert(key, queue.clone());
            table
                .by_topic
                .entry(pubsub)
                .or_default()
                .entry(topic)
                .or_default()
                .push(app.clone());
            queues.push(queue);
        }
        queues
    }
}

impl Runtime {
    /// Queues `events` for every subscriber, all or none, and answers once they are on disk.
    pub(crate) async fn publish(self: &Arc<Self>, events: Vec<Event>) -> Result<(), StoreError> {
        let addressed: Vec<(Event, Vec<AppId>)> = events
            .into_iter()
            .map(|event| {
                let apps = self.broker.subscribers(&event.pubsub, &event.topic);
                (event, apps)
            })
            .collect();
        let topics: Vec<(String, String)> = addressed
            .iter()
            .map(|(event, _)| (event.pubsub.clone(), event.topic.clone()))
            .collect();
        if addressed.iter().all(|(_, apps)| apps.is_empty()) {
            return Ok(());
        }
        self.store
            .write(move |conn| {
                for (event, apps) in &addressed {
                    queue::push(conn, event, apps.iter().map(AppId::as_str), now_ms())?;
                }
                Ok::<_, StoreError>(())
            })
            .await?;
        for (pubsub, topic) in topics {
            self.broker.wake(&pubsub, &topic);
        }
        Ok(())
    }

    /// Puts the subscriptions `specs` and those declared for `app` in the place of what it had,
    /// and starts to deliver. Unusable ones are logged and left out.
    pub(crate) async fn subscribe(self: &Arc<Self>, app: &AppId, specs: &[Spec]) {
        let mut subscriptions = Vec::new();
        for spec in specs {
            let granted = self.check_grant(app, spec);
            match granted.and_then(|()| self.check_subscription(app, spec)) {
                Ok(subscription) => subscriptions.push(self.within_grants(app, subscription)),
                Err(reason) => {
                    let (pubsub, topic) = (&spec.pubsubname, &spec.topic);
                    tracing::error!(app_id = %app, %pubsub, %topic, %reason, "a subscription is left out");
                }
            }
        }
        let declared = self.components.subscriptions.iter();
        for Declared { spec, scopes } in declared.filter(|declared| declared.scopes.include(app)) {
            let (pubsub, topic) = (&spec.pubsubname, &spec.topic);
            // Without scopes it is for the apps that are granted its topic, and if none is, for all that may have it.
            let is_for_others =
                scopes.0.is_empty() && self.is_granted_topic(pubsub, topic) && self.check_grant(app, spec).is_err();
            if is_for_others {
                tracing::debug!(app_id = %app, %pubsub, %topic, "a subscription is for those with a grant");
                continue;
            }
            match self.check_subscription(app, spec) {
                Ok(subscription) => subscriptions.push(subscription),
                Err(reason) if scopes.0.is_empty() => {
                    tracing::debug!(app_id = %app, %topic, %reason, "a subscription is not for this app");
                }
                Err(reason) => {
                    tracing::error!(app_id = %app, %topic, %reason, "a subscription is left out");
                }
            }
        }
        self.note_delivery_paths(app, &subscriptions);
        let queues = self.broker.replace(app, subscriptions);
        for queue in queues {
            let adopted = {
                let queue = queue.clone();
                let adopt = move |conn: &rusqlite::Connection| {
                    let (app, pubsub, topic) = queue.subscription.key();
                    queue::adopt(conn, app, pubsub, topic)
                };
                self.store.write(adopt).await
            };
            if let Err(error) = adopted {
                tracing::error!(%error, "dead letters could not be given to their subscriber");
            }
            self.spawn(dispatch::run(self.clone(), queue));
        }
    }

    /// Leaves out a dead-letter topic to which the app may not publish: what it drops would be an event there. What an
    /// operator declares needs no grant.
    fn within_grants(&self, app: &AppId, mut subscription: Subscription) -> Subscription {
        let (pubsub, topic) = (&subscription.pubsub, &subscription.topic);
        let denied = subscription.dead_letter_topic.take_if(|dead| {
            let grants = self.grants_of(app);
            !grants.allows_dead_letters(pubsub, topic, dead)
        });
        if let Some(dead) = denied {
            tracing::error!(app_id = %app, %pubsub, %topic,
                "its dead-letter topic {dead:?} is left out: add publish = [\"{pubsub}/{dead}\"]");
        }
        subscription
    }

    /// Whether the app may subscribe by itself.
    fn check_grant(&self, app: &AppId, spec: &Spec) -> Result<(), String> {
        let (pubsub, topic) = (spec.pubsubname.as_str(), spec.topic.as_str());
        if self.grants_of(app).allows_subscribe(pubsub, topic) {
            return Ok(());
        }
        Err(format!(
            "not granted; add subscribe = [\"{pubsub}/{topic}\"] to [package.{app}.dapr]"
        ))
    }

    fn check_subscription(&self, app: &AppId, spec: &Spec) -> Result<Subscription, String> {
        let (pubsub, topic) = (spec.pubsubname.as_str(), spec.topic.as_str());
        let component = crate::components::find(&self.components.pubsub, pubsub, app)
            .ok_or_else(|| format!("there is no pub/sub component {pubsub:?} for this app"))?;
        if !component.it.may_subscribe(app, topic) {
            return Err("the component's scopes do not allow it".to_owned());
        }
        Subscription::new(app, spec).map_err(|error| error.to_string())
    }
}
