//! Pub/sub: a durable queue per subscription, with at-least-once delivery.

mod deliver;
mod dispatch;
mod flight;
mod introduce;
pub(crate) mod outcome;
mod publish;
mod settle;
mod slots;
mod subscribe;

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;

pub(crate) use publish::Publisher;
use slots::Slots;

use crate::{
    app::{AppId, Apps},
    background::Background,
    broker::{Broker, Queue},
    components::{Current, find},
    error::ApiError,
    event::Event,
    internal::DeliveryPaths,
    store::{SLICE, Store, StoreError},
    subscription::LeftOut,
    time::now_ms,
};

/// The block's surroundings.
pub(crate) struct Options {
    pub(crate) store: Arc<Store>,
    pub(crate) components: Current,
    pub(crate) broker: Arc<Broker>,
    pub(crate) apps: Arc<Apps>,
    /// For the paths of events.
    pub(crate) paths: Arc<DeliveryPaths>,
    pub(crate) background: Background,
}

/// The building block. Each app is asked for its subscriptions; what it answered the last time holds until then.
pub(crate) struct PubSub {
    store: Arc<Store>,
    components: Current,
    broker: Arc<Broker>,
    apps: Arc<Apps>,
    paths: Arc<DeliveryPaths>,
    background: Background,
    /// The places of deliveries under way.
    slots: Arc<Slots>,
    /// The apps that have not told their subscriptions since the start, and why not.
    silent: Mutex<BTreeMap<AppId, String>>,
    /// The subscriptions that were told to be left out.
    left_out: LeftOut,
}

impl PubSub {
    pub(crate) fn new(options: Options) -> Self {
        let Options {
            store,
            components,
            broker,
            apps,
            paths,
            background,
        } = options;
        Self {
            store,
            components,
            broker,
            apps,
            paths,
            background,
            slots: Arc::default(),
            silent: Mutex::default(),
            left_out: LeftOut::default(),
        }
    }

    /// Refuses to publish for `app` on a topic that its component does not open to it, or where there is none.
    pub(crate) fn check(&self, app: &AppId, pubsub: &str, topic: &str) -> Result<(), ApiError> {
        let components = self.components.load();
        if components.pubsub.is_empty() {
            let message = "no pub/sub is configured; add a component of type pubsub.in-memory";
            return Err(ApiError::new(400, "ERR_PUBSUB_NOT_CONFIGURED", message));
        }
        let Some(component) = find(&components.pubsub, pubsub, app) else {
            let message = format!("pubsub {pubsub:?} is not found");
            return Err(ApiError::new(404, "ERR_PUBSUB_NOT_FOUND", message));
        };
        if !component.it.may_publish(app, topic) {
            let message = format!("topic {topic:?} is not allowed for app {app} by its component");
            return Err(ApiError::new(403, "ERR_PUBSUB_FORBIDDEN", message));
        }
        Ok(())
    }

    /// Queues `events` of `app` for every subscriber and answers once they are on disk: up to [`SLICE`] of them all or
    /// none, more of them so many at a time, so that other apps' writes have their turn in between.
    pub(crate) async fn publish(&self, app: &AppId, events: Vec<Event>) -> Result<(), StoreError> {
        let addressed = self.broker.address(app, events);
        if addressed.is_for_nobody() {
            return Ok(());
        }
        let topics = addressed.topics();
        for piece in addressed.in_pieces(SLICE) {
            let rows = piece.rows();
            self.store
                .write_for(app, rows, move |conn| piece.push(conn, now_ms()))
                .await?;
            self.broker.wake_all(&topics);
        }
        Ok(())
    }

    /// The subscriptions of `app`, each with whether it is declared in YAML.
    pub(crate) fn subscriptions(&self, app: &AppId) -> Vec<(Arc<Queue>, bool)> {
        let components = self.components.load();
        let queues = self.broker.subscriptions_of(app).into_iter();
        let declared = queues.map(|queue| {
            let subscription = &queue.subscription;
            let mut declared = components.subscriptions.iter();
            let is_declared = declared.any(|declared| {
                declared.scopes.include(app)
                    && declared.spec.pubsubname == subscription.pubsub
                    && declared.spec.topic == subscription.topic
            });
            (queue, is_declared)
        });
        declared.collect()
    }
}
