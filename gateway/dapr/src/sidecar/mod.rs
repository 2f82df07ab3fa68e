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

mod answers;
mod batches;
mod bodies;
mod callbacks;
mod events;
mod fanout;
mod health;
mod meta;
mod names;
mod outgoing;
mod query;

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use axum::body::{Body, Bytes};
use http::{HeaderValue, Request, Response, StatusCode, Uri, header, request::Parts, uri::PathAndQuery};
use http_body_util::{BodyExt, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::{
    api::{API_TOKEN, ApiRequest, call::MAX_BODY, invoke, operation::Operation},
    app::{AppChannel, AppId},
    error::{ApiError, ApiResult},
    grants::Grants,
    internal::{has_prefix, plain},
    notes::Notes,
    runtime::header_value,
};
pub use callbacks::Callback;
pub use fanout::{FanOut, SubscriptionError, Target};
pub use health::Readiness;
use names::Names;

/// How long the sidecar may take to begin its answer unless the settings say otherwise. Longer than
/// its own time-outs, so that its error is seen rather than ours.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a connection may take to be made: the sidecar is on this machine.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Configuration subscriptions remembered with their packages; a change under a forgotten one is
/// told to every package that may know it.
const MAX_WATCHERS: usize = 10_000;

/// How the packages and the sidecar belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// All packages behind one sidecar.
    Shared,
    /// This package alone.
    Dedicated(AppId),
}

/// Settings of sidecar mode.
#[derive(Clone, Debug)]
pub struct SidecarSettings {
    /// Scheme and authority of the sidecar's HTTP API: `http://127.0.0.1:3500`.
    pub endpoint: Uri,
    /// Sent as `dapr-api-token`; Dapr's `DAPR_API_TOKEN`.
    pub api_token: Option<String>,
    /// Required of every callback but health probes; Dapr's `APP_API_TOKEN`.
    pub app_token: Option<String>,
    /// One sidecar for all packages or for one.
    pub topology: Topology,
    /// Send invocations of packages hosted here through the sidecar too, so that its policies
    /// apply to them.
    pub invoke_remotely: bool,
    /// How long the sidecar may take to begin its answer.
    pub answer_timeout: Duration,
}

impl SidecarSettings {
    /// The sidecar at `endpoint`, shared by all packages, without tokens.
    pub fn new(endpoint: Uri) -> Self {
        Self {
            endpoint,
            api_token: None,
            app_token: None,
            topology: Topology::Shared,
            invoke_remotely: false,
            answer_timeout: ANSWER_TIMEOUT,
        }
    }
}

/// A client of a real sidecar. Cloning copies a pointer.
#[derive(Clone)]
pub struct Sidecar {
    shared: Arc<Shared>,
}

struct Shared {
    settings: SidecarSettings,
    channel: Arc<dyn AppChannel>,
    apps: BTreeMap<AppId, Grants>,
    client: Client<HttpConnector, Body>,
    fan_out: RwLock<Arc<FanOut>>,
    delivered: Mutex<fanout::Delivered>,
    /// App-ids by configuration subscription.
    watchers: Mutex<BTreeMap<String, AppId>>,
    /// App-ids by path of an input binding.
    bindings: Mutex<BTreeMap<String, Vec<AppId>>>,
    /// The subscriptions of every app are known.
    asked: watch::Sender<bool>,
    /// What each app that was asked has answered.
    told: watch::Sender<BTreeMap<AppId, Bytes>>,
    /// The sidecar is there.
    healthy: watch::Sender<bool>,
    /// The sidecar delivers all that the packages subscribe to.
    subscribed: watch::Sender<bool>,
    /// It once did.
    was_ready: AtomicBool,
    started: Instant,
    /// The subscriptions that the sidecar listed last, and when.
    listed: Mutex<Option<(Instant, Arc<Vec<health::Listed>>)>>,
    /// What packages keep in extended metadata.
    notes: Notes,
}

impl Sidecar {
    /// Connects to a sidecar on behalf of `apps`, on the Tokio runtime it is called in. The
    /// sidecar need not be there yet, and may go away and come back.
    pub fn start(
        settings: SidecarSettings,
        channel: Arc<dyn AppChannel>,
        apps: impl IntoIterator<Item = (AppId, Grants)>,
    ) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .build(connector);
        let shared = Shared {
            settings,
            channel,
            apps: apps.into_iter().collect(),
            client,
            fan_out: RwLock::default(),
            delivered: Mutex::default(),
            watchers: Mutex::default(),
            bindings: Mutex::default(),
            asked: watch::Sender::new(false),
            told: watch::Sender::default(),
            healthy: watch::Sender::new(false),
            subscribed: watch::Sender::new(false),
            was_ready: AtomicBool::new(false),
            started: Instant::now(),
            listed: Mutex::default(),
            notes: Notes::default(),
        };
        let shared = Arc::new(shared);
        tokio::spawn(health::watch(Arc::downgrade(&shared)));
        tokio::spawn(callbacks::ask_apps(shared.clone()));
        Self { shared }
    }

    /// True while the sidecar answers its health check.
    pub fn readiness(&self) -> watch::Receiver<bool> {
        self.shared.healthy.subscribe()
    }

    /// Whether requests should come here, and what is amiss.
    pub fn state(&self) -> Readiness {
        health::state(&self.shared)
    }

    /// Returns when the sidecar delivers what the packages subscribe to, when it cannot be reached, or when it takes too
    /// long: see [`Sidecar::state`].
    pub async fn settled(&self) {
        health::settled(&self.shared).await;
    }

    /// True once every app has been asked for its subscriptions: from then on [`Sidecar::is_internal`] knows their
    /// routes.
    pub fn subscriptions_known(&self) -> watch::Receiver<bool> {
        self.shared.asked.subscribe()
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
        match self.shared.call(caller, grants, request).await {
            Ok(response) => response,
            Err(error) => error.into_response(),
        }
    }

    /// Whether `path` of `app` is one by which the sidecar's callbacks reach it, as [`crate::Dapr::is_internal`] says.
    /// Routes of subscriptions that are declared in the cluster alone are not known here.
    pub fn is_internal(&self, app: &AppId, path: &str) -> bool {
        let path = plain(path);
        let bindings = self.shared.bindings.lock();
        let binding = bindings
            .iter()
            .any(|(name, apps)| plain(name) == path && apps.contains(app));
        drop(bindings);
        has_prefix(&path) || binding || self.shared.fan_out.read().has_path(app, &path)
    }

    /// Answers what the sidecar asks of the app it stands beside: subscriptions, events, jobs,
    /// input bindings, configuration changes, and with one package its invocations.
    pub async fn callback(&self, request: Request<Body>) -> Callback {
        callbacks::handle(&self.shared, request).await
    }
}

impl Shared {
    /// The apps that may have subscriptions and bindings: those with a `dapr` table.
    fn granted_apps(&self) -> impl Iterator<Item = &AppId> {
        let granted = self.apps.iter().filter(|(_, grants)| !grants.is_none());
        granted.map(|(app, _)| app)
    }

    async fn call(&self, caller: &AppId, grants: &Grants, request: ApiRequest) -> ApiResult {
        let (operation, parts, body) = request.into_parts()?;
        operation.check(grants)?;
        let names = &Names::new(caller, self.settings.topology == Topology::Shared);
        match &operation {
            Operation::Invoke { app, method } => {
                return self.invoke(names, &parts, body, app, method).await;
            }
            Operation::SetMetadata { key } => return meta::note(self, names, body, key).await,
            Operation::QueryState { .. } if names.are_shared() => {
                return query::run(self, &operation, names, &parts, body).await;
            }
            Operation::UnsubscribeConfiguration { id, .. } => self.check_watcher(caller, id)?,
            Operation::Publish { pubsub, topic } | Operation::BulkPublish { pubsub, topic } => {
                self.wait_for_subscribers(pubsub, topic).await;
            }
            _ => {}
        }
        let request = outgoing::request(&operation, names, &parts, body).await?;
        let response = self.send(request).await?;
        if let Operation::UnsubscribeConfiguration { id, .. } = &operation {
            self.watchers.lock().remove(id);
        }
        let is_meta = operation == Operation::GetMetadata && names.are_shared();
        if !response.status().is_success() || !(is_meta || answers::are_read(&operation, names)) {
            return Ok(response);
        }
        let (mut head, body) = response.into_parts();
        let body = whole(body).await?;
        if is_meta {
            return meta::response(meta::answer(self, names, grants, &body)?);
        }
        if let Operation::SubscribeConfiguration { .. } = &operation {
            self.remember_watcher(caller, &body);
        }
        let body = answers::answer(&operation, names, grants, &body)?;
        if body.is_empty() {
            head.status = StatusCode::NO_CONTENT;
        }
        head.headers.remove(header::CONTENT_LENGTH);
        Ok(Response::from_parts(head, Body::from(body)))
    }

    /// Calls another app: in process if it is a package here, else by the sidecar.
    async fn invoke(&self, names: &Names<'_>, parts: &Parts, body: Body, app: &str, method: &str) -> ApiResult {
        let callee = invoke::callee(app)?;
        if self.apps.contains_key(&callee) && !self.settings.invoke_remotely {
            let request = invoke::outgoing(parts, body, names.app(), &callee, method)?;
            return invoke::invoked(self.channel.deliver(&callee, request).await).await;
        }
        let query = parts.uri.query().map(|query| format!("?{query}"));
        let target = format!(
            "/v1.0/invoke/{callee}/method{method}{}",
            query.unwrap_or_default()
        );
        let mut request = Request::new(body);
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = target
            .parse()
            .map_err(|_| ApiError::malformed("the path is no URI"))?;
        *request.headers_mut() = invoke::passed_on(&parts.headers);
        let headers = request.headers_mut();
        headers.remove(header::CONTENT_LENGTH);
        // Should the call come back here, it is an invocation: the sidecar does not say so of its own app's.
        if let Some(app) = header_value(names.app().as_str()) {
            headers.insert(callbacks::INVOKED_BY, app);
        }
        self.send(request).await
    }

    /// Refuses to end another package's subscription.
    fn check_watcher(&self, caller: &AppId, id: &str) -> Result<(), ApiError> {
        let watchers = self.watchers.lock();
        if watchers.get(id).is_none_or(|owner| owner == caller) {
            return Ok(());
        }
        let message = format!("there is no subscription {id:?} of this app");
        Err(ApiError::new(500, "ERR_CONFIGURATION_UNSUBSCRIBE", message))
    }

    /// Sends a request to the sidecar.
    async fn send(&self, request: Request<Body>) -> ApiResult {
        let answer = self.send_quietly(request).await;
        answer.inspect_err(|error| tracing::warn!(error = error.message(), "a call of the sidecar"))
    }

    /// The same without a word in the log, for questions that are asked again and again.
    async fn send_quietly(&self, mut request: Request<Body>) -> ApiResult {
        let mut target = self.settings.endpoint.clone().into_parts();
        let path = request.uri().path_and_query().cloned();
        target.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
        *request.uri_mut() = Uri::from_parts(target).map_err(|error| ApiError::malformed(error.to_string()))?;
        if let Some(token) = &self.settings.api_token
            && let Ok(token) = HeaderValue::from_str(token)
        {
            request.headers_mut().insert(API_TOKEN, token);
        }
        let limit = self.settings.answer_timeout;
        let answer = tokio::time::timeout(limit, self.client.request(request)).await;
        match answer {
            Ok(Ok(response)) => {
                let mut response = response.map(Body::new);
                invoke::remove_hop_by_hop(response.headers_mut());
                Ok(response)
            }
            Ok(Err(error)) => {
                let message = format!("the Dapr sidecar cannot be reached; try again: {error}");
                Err(ApiError::new(503, "ERR_SIDECAR_UNAVAILABLE", message).retry_after())
            }
            Err(_) => {
                let message = format!("the Dapr sidecar did not answer within {limit:?}");
                Err(ApiError::new(504, "ERR_SIDECAR_TIMEOUT", message))
            }
        }
    }

    fn remember_watcher(&self, caller: &AppId, answer: &[u8]) {
        #[derive(serde::Deserialize)]
        struct Subscribed {
            id: String,
        }
        let Ok(Subscribed { id }) = serde_json::from_slice(answer) else {
            return;
        };
        let mut watchers = self.watchers.lock();
        if watchers.len() < MAX_WATCHERS {
            watchers.insert(id, caller.clone());
        }
    }
}

async fn whole(body: Body) -> Result<Bytes, ApiError> {
    let body = Limited::new(body, 4 * MAX_BODY).collect().await;
    body.map(|body| body.to_bytes()).map_err(|error| {
        let message = format!("the Dapr sidecar's answer broke off: {error}");
        ApiError::new(502, "ERR_SIDECAR_ANSWER", message)
    })
}
