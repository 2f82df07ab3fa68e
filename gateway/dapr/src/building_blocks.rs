//! The entry point to the building blocks, embedded or of a sidecar.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{Router, body::Body, extract::Request as Incoming, middleware};
use http::{Response, StatusCode};
use wasmgate_common::Problem;

use crate::{
    ApiRequest, AppChannel, AppId, Dapr, Grants, OpenError, QueueDepth, Settings, StateKeys,
    error::ApiError,
    sidecar::{Callback, Sidecar, SidecarSettings},
};

/// The time for which [`BuildingBlocks::start`] waits for an app that does not tell its
/// subscriptions: above what a healthy one needs on a busy machine, and short enough that a broken
/// one does not keep the others from being served.
const SUBSCRIPTIONS_PATIENCE: Duration = Duration::from_secs(5);

/// The building blocks of one embedding program. Cloning copies a pointer.
#[derive(Clone)]
pub struct BuildingBlocks(Arc<Provider>);

enum Provider {
    Embedded(Dapr),
    Sidecar {
        settings: SidecarSettings,
        /// There from the start on.
        client: OnceLock<Sidecar>,
    },
}

/// A condition that keeps events from being delivered, or that an operator should know of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Condition {
    /// A word for it that does not change: `subscriptions-unknown`, `sidecar-missing` or
    /// `sidecar-not-subscribed`.
    pub reason: &'static str,
    /// The app that it is about, if it is about one.
    pub app: Option<AppId>,
    /// A sentence for people.
    pub detail: String,
    /// Public requests should go elsewhere as long as it holds.
    pub unready: bool,
}

impl BuildingBlocks {
    /// Opens the embedded building blocks; nothing runs before [`BuildingBlocks::start`].
    ///
    /// # Errors
    /// When the data folder or the resource YAML cannot be used.
    pub fn open(settings: Settings) -> Result<Self, OpenError> {
        let embedded = Provider::Embedded(Dapr::open(settings)?);
        Ok(Self(Arc::new(embedded)))
    }

    /// Makes the building blocks of a sidecar, to which nothing is sent before
    /// [`BuildingBlocks::start`].
    pub fn beside_sidecar(settings: SidecarSettings) -> Self {
        let client = OnceLock::new();
        Self(Arc::new(Provider::Sidecar { settings, client }))
    }

    /// Starts deliveries to `apps` on the Tokio runtime it is called in, and calls them through
    /// `channel`; called once.
    ///
    /// Returns when every app has told its subscriptions, so that from the first public request on
    /// it is known which paths are not public, but does not wait long for one that hangs; and when
    /// a sidecar that is there has subscribed for them, so that no event is lost that a first
    /// request causes.
    pub async fn start(&self, channel: Arc<dyn AppChannel>, apps: impl IntoIterator<Item = (AppId, Grants)>) {
        let mut known = match &*self.0 {
            Provider::Embedded(dapr) => {
                dapr.start(channel, apps).await;
                dapr.readiness()
            }
            Provider::Sidecar { settings, client } => client
                .get_or_init(|| Sidecar::start(settings.clone(), channel, apps))
                .subscriptions_known(),
        };
        let known = known.wait_for(|known| *known);
        if tokio::time::timeout(SUBSCRIPTIONS_PATIENCE, known)
            .await
            .is_err()
        {
            tracing::warn!("serving begins although a package has not told its subscriptions");
        }
        if let Some(sidecar) = self.sidecar() {
            sidecar.settled().await;
        }
    }

    /// Serves other apps at work, and embedded what the resource YAML says now, as [`Dapr::reload`] and
    /// [`Sidecar::reload`] tell; `settings` are heeded where the blocks are embedded. Returns when every app that was
    /// asked has told its subscriptions, but does not wait long for one that hangs. Answers with the topics that a
    /// sidecar will only know when it is started again.
    ///
    /// # Errors
    /// All mistakes in the YAML: nothing is changed then.
    pub async fn reload(
        &self,
        settings: &Settings,
        apps: impl IntoIterator<Item = (AppId, Grants)>,
        changed: &BTreeSet<AppId>,
    ) -> Result<Vec<String>, OpenError> {
        match &*self.0 {
            Provider::Embedded(dapr) => dapr
                .reload(settings, apps, changed)
                .await
                .map(|()| Vec::new()),
            Provider::Sidecar { client, .. } => Ok(match client.get() {
                Some(sidecar) => sidecar.reload(apps, changed).await,
                None => Vec::new(),
            }),
        }
    }

    /// Answers one call of the Dapr API, made by `caller`, who may reach what `grants` say.
    ///
    /// Every failure is an answer, as [`Dapr::call`] and [`Sidecar::call`] tell. Besides, a caller
    /// without a `dapr` table is answered 403, and a call before the start beside a sidecar 503.
    pub async fn call(&self, caller: &AppId, grants: &Grants, request: ApiRequest) -> Response<Body> {
        if grants.is_none() {
            return not_granted();
        }
        match &*self.0 {
            Provider::Embedded(dapr) => dapr.answer(caller, grants, request).await,
            Provider::Sidecar { client, .. } => match client.get() {
                Some(sidecar) => Box::pin(sidecar.answer(caller, grants, request)).await,
                None => Problem::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "The sidecar is not there yet.",
                )
                .into_response(),
            },
        }
    }

    /// Lists keys of `caller` in a state store: up to a thousand that begin with `prefix`, after the place that the
    /// page before ended at.
    ///
    /// # Errors
    /// Every failure is an answer, as of [`call`](Self::call): 403 for a missing grant, 400 for a store that is not
    /// there, 501 beside a sidecar, whose API has no such operation.
    pub async fn state_keys(
        &self,
        caller: &AppId,
        grants: &Grants,
        (store, prefix): (&str, &str),
        after: Option<i64>,
    ) -> Result<StateKeys, Response<Body>> {
        let listed = match &*self.0 {
            Provider::Embedded(dapr) => {
                dapr.state_keys(caller, grants, (store, prefix), after)
                    .await
            }
            Provider::Sidecar { .. } => {
                let message = "the keys of a state store cannot be listed beside a Dapr sidecar: its API has no such \
                               operation; keep a list of them under a key of its own";
                Err(ApiError::new(501, "ERR_STATE_LIST_KEYS", message).refused())
            }
        };
        listed.map_err(ApiError::into_response)
    }

    /// The router of the listener beside the public one.
    ///
    /// Embedded it is the API for other processes, all of which call as `outside` and may do
    /// everything; [`Dapr::tcp_router`] says who is let in. Beside a sidecar it answers the
    /// sidecar's callbacks, and what is none goes to `fallback`: invocations.
    pub fn router(&self, outside: AppId, fallback: Router) -> Router {
        if let Provider::Embedded(dapr) = &*self.0 {
            return dapr.tcp_router(outside, Grants::all());
        }
        let blocks = self.clone();
        let callbacks = move |request: Incoming, next: middleware::Next| {
            let blocks = blocks.clone();
            async move {
                let callback = match blocks.sidecar() {
                    Some(sidecar) => sidecar.callback(request).await,
                    None => Callback::Invocation(request),
                };
                match callback {
                    Callback::Answered(response) => response,
                    Callback::Invocation(request) => next.run(request).await,
                }
            }
        };
        fallback.layer(middleware::from_fn(callbacks))
    }

    /// The conditions that hold now: apps that have not told their subscriptions, or a sidecar that
    /// is not there or has not subscribed for them. A sidecar that is lost, or that is late by far,
    /// keeps no app from being served that does not need it.
    pub fn conditions(&self) -> Vec<Condition> {
        match &*self.0 {
            Provider::Embedded(dapr) => unknown_subscriptions(dapr),
            Provider::Sidecar { client, .. } => {
                let state = client.get().map(Sidecar::state);
                let condition = state.and_then(|state| {
                    Some(Condition {
                        reason: match state.reachable {
                            true => "sidecar-not-subscribed",
                            false => "sidecar-missing",
                        },
                        app: None,
                        detail: state.detail?,
                        unready: !state.ready,
                    })
                });
                condition.into_iter().collect()
            }
        }
    }

    /// Returns true if the sidecar answers, none where the building blocks are embedded.
    pub fn is_sidecar_reachable(&self) -> Option<bool> {
        match &*self.0 {
            Provider::Embedded(_) => None,
            Provider::Sidecar { client, .. } => Some(client.get().is_some_and(|client| client.state().reachable)),
        }
    }

    /// Returns true if `path` of `app`, as the app would see it, is for the building blocks alone. Beside a
    /// sidecar that is every path before the start.
    pub fn is_internal(&self, app: &AppId, path: &str) -> bool {
        match &*self.0 {
            Provider::Embedded(dapr) => dapr.is_internal(app, path),
            Provider::Sidecar { client, .. } => client
                .get()
                .is_none_or(|sidecar| sidecar.is_internal(app, path)),
        }
    }

    /// Every queue with what waits in it; a sidecar keeps that to itself.
    pub async fn queues(&self) -> Vec<QueueDepth> {
        match &*self.0 {
            Provider::Embedded(dapr) => dapr.all_queues().await,
            Provider::Sidecar { .. } => Vec::new(),
        }
    }

    /// The embedded runtime, unless the building blocks are a sidecar's.
    pub fn embedded(&self) -> Option<&Dapr> {
        match &*self.0 {
            Provider::Embedded(dapr) => Some(dapr),
            Provider::Sidecar { .. } => None,
        }
    }

    /// Has a sidecar take up no more deliveries, and returns when it has understood and none is under way: see
    /// [`Sidecar::leave`] and [`Sidecar::left`]. Embedded, deliveries go on until [`BuildingBlocks::stop`].
    pub async fn leave(&self) {
        if let Some(sidecar) = self.sidecar() {
            sidecar.leave();
            sidecar.left().await;
        }
    }

    /// Takes up no more deliveries and waits for those under way. A sidecar delivers again what it
    /// has no answer for.
    pub async fn stop(&self) {
        if let Some(dapr) = self.embedded() {
            dapr.stop().await;
        }
    }

    fn sidecar(&self) -> Option<&Sidecar> {
        match &*self.0 {
            Provider::Embedded(_) => None,
            Provider::Sidecar { client, .. } => client.get(),
        }
    }
}

/// The answer to an app without a `dapr` table, also where there are no building blocks at all.
pub fn not_granted() -> Response<Body> {
    Problem::new(StatusCode::FORBIDDEN, "This package has no `dapr` table.").into_response()
}

fn unknown_subscriptions(dapr: &Dapr) -> Vec<Condition> {
    let unready = !*dapr.readiness().borrow();
    let unknown = |app, detail| Condition {
        reason: "subscriptions-unknown",
        app,
        detail,
        unready,
    };
    let silent = dapr.silent_apps();
    if unready && silent.is_empty() {
        let detail = "packages are about to be asked for their subscriptions";
        return vec![unknown(None, detail.to_owned())];
    }
    let silent = silent.into_iter().map(|(app, reason)| {
        let detail = format!("the package has not told its subscriptions: {reason}");
        unknown(Some(app), detail)
    });
    silent.collect()
}

#[cfg(test)]
mod tests {
    use http::{Request, Uri};

    use super::*;

    fn request(path: &str) -> ApiRequest {
        ApiRequest::parse(Request::get(path).body(Body::empty()).unwrap())
    }

    #[tokio::test]
    async fn an_app_without_a_table_is_refused_wherever_the_building_blocks_are() {
        let data = tempfile::tempdir().unwrap();
        let settings = Settings {
            data: data.path().join("data"),
            ..Settings::default()
        };
        let endpoint = Uri::from_static("http://127.0.0.1:1");
        let app = AppId::new("shop").unwrap();
        for blocks in [
            BuildingBlocks::open(settings).unwrap(),
            BuildingBlocks::beside_sidecar(SidecarSettings::new(endpoint)),
        ] {
            let health = || request("/v1.0/healthz/outbound");
            let refused = blocks.call(&app, &Grants::none(), health()).await;
            assert_eq!(refused.status(), StatusCode::FORBIDDEN);
            let is_there = blocks.embedded().is_some();
            let answered = blocks.call(&app, &Grants::default(), health()).await;
            assert_eq!(answered.status().as_u16(), if is_there { 204 } else { 503 });
            // Nobody knows yet which paths are the sidecar's.
            assert_eq!(blocks.is_internal(&app, "/orders"), !is_there);
        }
    }
}
