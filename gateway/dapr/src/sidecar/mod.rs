//! A real sidecar: the same calls, sent to it over a pooled client, and its callbacks, sent on to
//! the packages they are for.
//!
//! # Topologies
//!
//! *Shared*: one gateway, one sidecar, one app-id for all packages. The sidecar is told every
//! package's subscriptions as one list and sends each event once; it is fanned out here, and only
//! packages that failed get it again. State keys, locks and jobs carry the package's app-id, so
//! packages stay apart. One pod runs everything, and Dapr's own policies (scopes, access control)
//! see the gateway as one app.
//!
//! *Dedicated*: one gateway and one sidecar for each package. Nothing is renamed: the package's
//! keys and jobs are those of its app-id, other apps invoke it through their sidecars, and Dapr's
//! policies apply to it alone. It costs a pod for each package.
//!
//! # What is sent
//!
//! Nothing of a guest's call is copied: path, query, headers and body are read as the sidecar reads them, checked, and
//! written anew (`outgoing`, `bodies`), so that what was checked is what is done. Answers are filtered likewise.
//!
//! # Start and loss
//!
//! Start order does not matter: until the sidecar answers its health check calls are 503 with
//! `Retry-After`; its question for subscriptions waits until every package has told its own; and
//! events for packages here are not published before it has subscribed for them. [`Sidecar::state`]
//! is ready when it has, or after a while with a detail; a sidecar that is lost later is a detail.
//! At the end the sidecar's checks of the app fail first, and its deliveries are taken until it has
//! noticed ([`Sidecar::leave`], [`Sidecar::left`]).

mod allowed_metadata;
mod answers;
mod bodies;
mod call;
mod callbacks;
mod client;
mod delivered;
mod fanout;
mod health;
mod leaving;
mod listed;
mod meta;
mod names;
mod outgoing;
mod query;
mod settings;
mod shared;
mod unmet;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axum::body::Body;
use http::{Request, Response};
use tokio::sync::watch;
use wasmgate_common::path::lenient;

use crate::{
    app::{AppChannel, AppId},
    grants::Grants,
    internal::has_prefix,
    protocol::ApiRequest,
};
pub use callbacks::Callback;
pub use health::Readiness;
pub use settings::{SidecarSettings, Topology};
use shared::Shared;

/// A client of a real sidecar. Cloning copies a pointer.
#[derive(Clone)]
pub struct Sidecar {
    shared: Arc<Shared>,
}

impl Sidecar {
    /// Connects to a sidecar on behalf of `apps`, on the Tokio runtime it is called in. The
    /// sidecar need not be there yet, and may go away and come back.
    pub fn start(
        settings: SidecarSettings,
        channel: Arc<dyn AppChannel>,
        apps: impl IntoIterator<Item = (AppId, Grants)>,
    ) -> Self {
        let shared = Arc::new(Shared::new(settings, channel, apps.into_iter().collect()));
        tokio::spawn(health::watch(Arc::downgrade(&shared)));
        tokio::spawn(callbacks::fetch_subscriptions(shared.clone()));
        Self { shared }
    }

    /// Serves other apps; those that are new, that were given other grants or that are `changed` are asked for their
    /// subscriptions. Answers with the topics, as `PUBSUB/TOPIC`, that the sidecar was not told: it asks once, when it
    /// starts.
    pub async fn reload(
        &self,
        apps: impl IntoIterator<Item = (AppId, Grants)>,
        changed: &BTreeSet<AppId>,
    ) -> Vec<String> {
        let shared = &self.shared;
        let apps: BTreeMap<_, _> = apps.into_iter().collect();
        let before = shared.apps.swap(Arc::new(apps.clone()));
        let granted = shared.granted_apps();
        let is_other = |app: &AppId| changed.contains(app) || before.get(app) != apps.get(app);
        shared
            .watchers
            .lock()
            .retain(|_, app| granted.contains(app));
        callbacks::retain(shared, &granted);
        let ask = granted.into_iter().filter(is_other).collect();
        callbacks::ask(shared, ask).await;
        callbacks::refresh(shared).await;
        let told = shared.told.lock().clone();
        let topics = shared.fan_out.load().topics().into_iter();
        let untold = topics.filter(|topic| told.as_ref().is_some_and(|told| !told.contains(topic)));
        untold
            .map(|(pubsub, topic)| format!("{pubsub}/{topic}"))
            .collect()
    }

    /// True while the sidecar answers its health check.
    pub fn readiness(&self) -> watch::Receiver<bool> {
        self.shared.healthy.subscribe()
    }

    /// Returns whether requests should come here, and what is amiss.
    pub fn state(&self) -> Readiness {
        health::state(&self.shared)
    }

    /// Returns when the sidecar delivers what the packages subscribe to, when it cannot be reached, or when it takes
    /// too long: see [`Sidecar::state`].
    pub async fn settled(&self) {
        health::settled(&self.shared).await;
    }

    /// True once every app has been asked for its subscriptions: from then on [`Sidecar::is_internal`] knows their
    /// routes.
    pub fn subscriptions_known(&self) -> watch::Receiver<bool> {
        self.shared.subscriptions_known.subscribe()
    }

    /// Answers one call of the Dapr API as [`crate::Dapr::call`] does, by the sidecar.
    ///
    /// Besides the sidecar's own answers there are 503 `ERR_SIDECAR_UNAVAILABLE` with
    /// `Retry-After` while it cannot be reached, 504 `ERR_SIDECAR_TIMEOUT` if it hangs, and 502
    /// `ERR_SIDECAR_ANSWER` if its answer breaks off before anything was passed on.
    pub async fn call(&self, caller: &AppId, grants: &Grants, request: Request<Body>) -> Response<Body> {
        self.answer(caller, grants, ApiRequest::parse(request))
            .await
    }

    /// The same for a request that has been parsed.
    pub(crate) async fn answer(&self, caller: &AppId, grants: &Grants, request: ApiRequest) -> Response<Body> {
        match call::answer(&self.shared, caller, grants, request).await {
            Ok(response) => response,
            Err(error) => error.into_response(),
        }
    }

    /// Returns whether `path` of `app` is one by which the sidecar's callbacks reach it, as
    /// [`crate::Dapr::is_internal`] says. Routes of subscriptions that are declared in the cluster alone are not known
    /// here.
    pub fn is_internal(&self, app: &AppId, path: &str) -> bool {
        let path = lenient(path);
        let bindings = self.shared.bindings.load();
        let binding = bindings
            .iter()
            .any(|(name, apps)| lenient(name) == path && apps.contains(app));
        has_prefix(&path) || binding || self.shared.fan_out.load().has_path(app, &path)
    }

    /// Has every check of the app fail from now on, so that the sidecar takes up no more events, jobs and bindings;
    /// what it delivers is still taken.
    pub fn leave(&self) {
        self.shared.leaving.begin();
    }

    /// Returns when a sidecar that checks the app has seen it fail after [`Sidecar::leave`], and nothing that it
    /// delivers is under way. One that checks nothing is not waited for.
    pub async fn left(&self) {
        let is_there = *self.shared.healthy.borrow();
        self.shared
            .leaving
            .left(&self.shared.client, is_there)
            .await;
    }

    /// Answers what the sidecar asks of the app it stands beside: subscriptions, events, jobs,
    /// input bindings, configuration changes, and with one package its invocations.
    pub async fn callback(&self, request: Request<Body>) -> Callback {
        callbacks::handle(&self.shared, request).await
    }
}
