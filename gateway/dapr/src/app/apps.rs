//! The apps of one runtime: their grants and channels.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::body::{Body, Bytes};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use parking_lot::RwLock;

use super::{AppChannel, AppId, DeliverError, DeliveryKind, DeliveryResult, HttpAppChannel};
use crate::{
    grants::Grants,
    quotas::Quotas,
    settings::{OutsideApp, Settings},
};

/// An app's answer to an event or a job is kept whole up to so many bytes; what is longer says nothing more.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// The apps of one runtime.
pub(crate) struct Apps {
    grants: RwLock<BTreeMap<AppId, Grants>>,
    /// The process beside this one, and the way to it.
    outside: Option<(AppId, HttpAppChannel)>,
    /// The quotas of an app that has none of its own.
    quotas: RwLock<Quotas>,
    /// There from the start on.
    channel: OnceLock<Arc<dyn AppChannel>>,
}

/// The reason for which a delivery brought no answer.
#[derive(Debug)]
pub(crate) enum DeliveryFailure {
    /// The app could not be reached.
    Unreachable(String),
    /// The app was reached and failed.
    Failed(String),
}

impl DeliveryFailure {
    /// The reason, for the log.
    pub(crate) fn reason(&self) -> &str {
        let (Self::Unreachable(reason) | Self::Failed(reason)) = self;
        reason
    }
}

impl Apps {
    /// No apps yet but the process that `settings` name.
    pub(crate) fn new(settings: &Settings) -> Self {
        let outside = settings.outside.clone().map(
            |OutsideApp {
                 app,
                 address,
                 token,
             }| { (app.clone(), HttpAppChannel::new(app, address, token)) },
        );
        Self {
            grants: RwLock::default(),
            outside,
            quotas: RwLock::new(settings.quotas),
            channel: OnceLock::new(),
        }
    }

    /// Puts `apps` in the place of all, and has them called through `channel`; false if there is a channel already.
    pub(crate) fn connect(
        &self,
        channel: Arc<dyn AppChannel>,
        apps: impl IntoIterator<Item = (AppId, Grants)>,
    ) -> bool {
        *self.grants.write() = apps.into_iter().collect();
        self.channel.set(channel).is_ok()
    }

    /// Adds an app, or gives it other grants; true if it is new.
    pub(crate) fn insert(&self, app: AppId, grants: Grants) -> bool {
        self.grants.write().insert(app, grants).is_none()
    }

    /// Takes an app out: nothing is delivered to it any more.
    pub(crate) fn remove(&self, app: &AppId) {
        self.grants.write().remove(app);
    }

    /// Every app of the embedding program.
    pub(crate) fn all(&self) -> Vec<AppId> {
        let grants = self.grants.read();
        let inside = grants.keys().filter(|app| {
            let outside = self.outside.as_ref();
            outside.is_none_or(|(outside, _)| outside != *app)
        });
        inside.cloned().collect()
    }

    /// Adds the process beside this one, if there is one: from now on it is one of the apps and may do everything.
    pub(crate) fn insert_outside(&self) -> Option<AppId> {
        let (outside, _) = self.outside.as_ref()?;
        self.insert(outside.clone(), Grants::all());
        Some(outside.clone())
    }

    /// The grants of `app`.
    pub(crate) fn grants_of(&self, app: &AppId) -> Grants {
        let grants = self.grants.read();
        grants.get(app).cloned().unwrap_or_else(Grants::none)
    }

    /// How much `app` may keep.
    pub(crate) fn quotas_of(&self, app: &AppId) -> Quotas {
        let grants = self.grants.read();
        let own = grants.get(app).and_then(|grants| grants.quotas);
        own.unwrap_or_else(|| *self.quotas.read())
    }

    /// Gives other quotas to apps that have none of their own.
    pub(crate) fn set_quotas(&self, quotas: Quotas) {
        *self.quotas.write() = quotas;
    }

    /// True if deliveries to `app` have somewhere to go.
    pub(crate) fn can_reach(&self, app: &AppId) -> bool {
        self.grants.read().contains_key(app)
    }

    /// The apps that may have subscriptions and bindings: those with a `dapr` table.
    pub(crate) fn granted(&self) -> Vec<AppId> {
        let grants = self.grants.read();
        let granted = grants.iter().filter(|(_, grants)| !grants.is_none());
        granted.map(|(app, _)| app.clone()).collect()
    }

    /// True if any app in this process may subscribe to a topic by itself.
    pub(crate) fn is_granted_topic(&self, pubsub: &str, topic: &str) -> bool {
        let grants = self.grants.read();
        let mut inside = grants.iter().filter(|(app, _)| {
            let outside = self.outside.as_ref();
            outside.is_none_or(|(outside, _)| outside != *app)
        });
        inside.any(|(_, grants)| grants.allows_subscribe(pubsub, topic))
    }

    /// Hands a request to an app; the answer's body streams.
    pub(crate) async fn deliver(&self, app: &AppId, request: Request<Body>) -> Result<Response<Body>, DeliverError> {
        if let Some((outside, channel)) = &self.outside
            && outside == app
        {
            return channel.deliver(app, request).await;
        }
        match self.channel.get() {
            Some(channel) => channel.deliver(app, request).await,
            None => Err(DeliverError::Unavailable {
                app: app.clone(),
                reason: "the runtime has not been started".to_owned(),
            }),
        }
    }

    /// Hands a request to an app and waits for the whole answer, as long as `timeout` or else the channel allows.
    pub(crate) async fn deliver_whole(
        &self,
        app: &AppId,
        request: Request<Body>,
        timeout: Option<Duration>,
    ) -> Result<(StatusCode, Bytes), DeliveryFailure> {
        let exchange = async {
            let response = self.deliver(app, request).await;
            let response = response.map_err(|error| DeliveryFailure::Unreachable(error.to_string()))?;
            let (head, body) = response.into_parts();
            match Limited::new(body, MAX_ANSWER).collect().await {
                Ok(body) => Ok((head.status, body.to_bytes())),
                Err(error) => Err(DeliveryFailure::Failed(format!(
                    "its answer broke off: {error}"
                ))),
            }
        };
        let patience = || {
            self.channel
                .get()
                .map_or(Duration::ZERO, |channel| channel.patience(app))
        };
        let timeout = timeout.unwrap_or_else(patience);
        let answer = tokio::time::timeout(timeout, exchange).await;
        answer.unwrap_or_else(|_| Err(DeliveryFailure::Failed(format!("no answer in {timeout:?}"))))
    }

    /// Tells the embedding program what became of a delivery.
    pub(crate) fn settled(&self, app: &AppId, kind: DeliveryKind, result: DeliveryResult) {
        if let Some(channel) = self.channel.get() {
            channel.settled(app, kind, result);
        }
    }
}
