//! State that calls to the sidecar and its callbacks share.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::AtomicBool},
    time::Instant,
};

use arc_swap::ArcSwap;
use axum::body::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{
    client::Client,
    delivered::Delivered,
    fanout::FanOut,
    leaving::Leaving,
    listed::Lists,
    settings::{SidecarSettings, Topology},
};
use crate::{
    app::{AppChannel, AppId},
    grants::Grants,
    notes::Notes,
    subscription::LeftOut,
};

/// The state of one sidecar's client.
pub(super) struct Shared {
    pub(super) settings: SidecarSettings,
    pub(super) channel: Arc<dyn AppChannel>,
    /// Every call and callback asks for them, so reading takes no lock.
    pub(super) apps: ArcSwap<BTreeMap<AppId, Grants>>,
    pub(super) client: Client,
    pub(super) fan_out: ArcSwap<FanOut>,
    pub(super) delivered: Mutex<Delivered>,
    /// App-ids by configuration subscription.
    pub(super) watchers: Mutex<BTreeMap<String, AppId>>,
    /// App-ids by path of an input binding. Like the subscriptions, every public request asks for them, on every
    /// worker, so reading takes no lock.
    pub(super) bindings: ArcSwap<BTreeMap<String, Vec<AppId>>>,
    /// The subscriptions of every app are known.
    pub(super) subscriptions_known: watch::Sender<bool>,
    /// The answer of each app that was asked for its subscriptions.
    pub(super) subscriptions: watch::Sender<BTreeMap<AppId, Bytes>>,
    /// The topics that the sidecar was told when it asked, which it does once.
    pub(super) told: Mutex<Option<BTreeSet<(String, String)>>>,
    /// The sidecar is there.
    pub(super) healthy: watch::Sender<bool>,
    /// The sidecar delivers all that the packages subscribe to.
    pub(super) subscribed: watch::Sender<bool>,
    /// It once did.
    pub(super) was_ready: AtomicBool,
    pub(super) started: Instant,
    /// The subscriptions that the sidecar listed last.
    pub(super) listed: Lists,
    /// The end, when it has begun.
    pub(super) leaving: Leaving,
    /// The extended metadata of packages.
    pub(super) notes: Notes,
    /// The subscriptions that were told to be left out.
    pub(super) left_out: LeftOut,
}

impl Shared {
    pub(super) fn new(settings: SidecarSettings, channel: Arc<dyn AppChannel>, apps: BTreeMap<AppId, Grants>) -> Self {
        Self {
            client: Client::new(&settings),
            settings,
            channel,
            apps: ArcSwap::from_pointee(apps),
            fan_out: ArcSwap::default(),
            delivered: Mutex::default(),
            watchers: Mutex::default(),
            bindings: ArcSwap::default(),
            subscriptions_known: watch::Sender::new(false),
            subscriptions: watch::Sender::default(),
            told: Mutex::default(),
            healthy: watch::Sender::new(false),
            subscribed: watch::Sender::new(false),
            was_ready: AtomicBool::new(false),
            started: Instant::now(),
            listed: Lists::default(),
            leaving: Leaving::default(),
            notes: Notes::default(),
            left_out: LeftOut::default(),
        }
    }

    /// Returns whether the packages share the sidecar.
    pub(super) fn has_shared_sidecar(&self) -> bool {
        self.settings.topology == Topology::Shared
    }

    /// Returns the apps that may have subscriptions and bindings: those with a `dapr` table.
    pub(super) fn granted_apps(&self) -> Vec<AppId> {
        let apps = self.apps.load();
        let granted = apps.iter().filter(|(_, grants)| !grants.is_none());
        granted.map(|(app, _)| app.clone()).collect()
    }

    /// Returns whether `app` is granted the events of a topic.
    pub(super) fn grants_subscription(&self, app: &AppId, pubsub: &str, topic: &str) -> bool {
        let apps = self.apps.load();
        let grants = apps.get(app);
        grants.is_some_and(|grants| grants.allows_subscribe(pubsub, topic))
    }
}
