//! The embedded runtime: what it holds, how it starts, and how it calls apps.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use parking_lot::{Mutex, RwLock};
use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    api,
    app::{AppChannel, AppId, DeliverError, DeliveryKind, DeliveryResult, HttpAppChannel},
    components::{self, Components},
    grants::Grants,
    internal::DeliveryPaths,
    notes::Notes,
    open_error::OpenError,
    protocol::ApiRequest,
    pubsub::Broker,
    settings::{OutsideApp, Settings},
    start::start_bindings,
    store::{Store, StoreError, state},
    tcp,
};

pub(crate) type HttpsClient = Client<HttpsConnector<HttpConnector>, Body>;

/// An app's answer to an event or a job is kept whole; what is longer says nothing more.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// The embedded runtime. Cloning copies a pointer.
#[derive(Clone)]
pub struct Dapr {
    pub(crate) runtime: Arc<Runtime>,
}

/// What every part of the runtime shares.
pub(crate) struct Runtime {
    pub(crate) settings: Settings,
    pub(crate) components: Components,
    pub(crate) store: Arc<Store>,
    pub(crate) broker: Broker,
    pub(crate) delivery_paths: DeliveryPaths,
    /// A job has been scheduled.
    pub(crate) jobs: Notify,
    pub(crate) watchers: Mutex<BTreeMap<String, api::configuration::Watcher>>,
    /// Extended metadata by app.
    pub(crate) notes: Notes,
    pub(crate) client: HttpsClient,
    /// Ends the background work.
    pub(crate) stopping: CancellationToken,
    tasks: TaskTracker,
    apps: RwLock<BTreeMap<AppId, Grants>>,
    /// The process beside this one, and how it is reached.
    outside: Option<(AppId, HttpAppChannel)>,
    started: OnceLock<(Arc<dyn AppChannel>, Handle)>,
    ready: watch::Sender<bool>,
    /// The apps that have not told their subscriptions since the start, and why not.
    pub(crate) silent: Mutex<BTreeMap<AppId, String>>,
}

/// Why a delivery brought no answer.
#[derive(Debug)]
pub(crate) enum DeliveryFailure {
    /// The app could not be reached.
    Unreachable(String),
    /// The app was reached and failed.
    Failed(String),
}

impl DeliveryFailure {
    /// What happened, for the log.
    pub(crate) fn reason(&self) -> &str {
        let (Self::Unreachable(reason) | Self::Failed(reason)) = self;
        reason
    }
}

impl Dapr {
    /// Reads the resource YAML and tells all its mistakes, without opening the database.
    pub fn check(settings: &Settings) -> Result<(), OpenError> {
        components::load(settings)
            .map(drop)
            .map_err(OpenError::Components)
    }

    /// What the resource YAML's components do here and not beside a sidecar, a sentence for each. Nothing is said of
    /// the components that there are without a folder, or of files with mistakes.
    pub fn caveats(settings: &Settings) -> Vec<String> {
        match (&settings.components, components::load(settings)) {
            (Some(_), Ok(components)) => components::caveats(&components),
            _ => Vec::new(),
        }
    }

    /// Type and name of every component that `app` may use; none if there are mistakes in the resource YAML.
    pub fn components(settings: &Settings, app: &AppId) -> Vec<(String, String)> {
        let Ok(components) = components::load(settings) else {
            return Vec::new();
        };
        let listed = components.list(app).into_iter();
        listed
            .map(|(name, kind, ..)| (kind.to_owned(), name.to_owned()))
            .collect()
    }

    /// Opens the database and reads the resource YAML. Nothing runs before [`Dapr::start`].
    pub fn open(settings: Settings) -> Result<Self, OpenError> {
        let components = components::load(&settings).map_err(OpenError::Components)?;
        let store = Store::open(&settings.data)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let connector = HttpsConnectorBuilder::new().with_provider_and_webpki_roots(provider);
        let connector = connector
            .map_err(OpenError::Tls)?
            .https_or_http()
            .enable_http1()
            .build();
        let outside = settings.outside.clone().map(
            |OutsideApp {
                 app,
                 address,
                 token,
             }| { (app.clone(), HttpAppChannel::new(app, address, token)) },
        );
        let runtime = Runtime {
            outside,
            settings,
            components,
            store: Arc::new(store),
            broker: Broker::default(),
            delivery_paths: DeliveryPaths::default(),
            jobs: Notify::new(),
            watchers: Mutex::default(),
            notes: Notes::default(),
            client: Client::builder(TokioExecutor::new()).build(connector),
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
            apps: RwLock::default(),
            started: OnceLock::new(),
            ready: watch::Sender::new(false),
            silent: Mutex::default(),
        };
        Ok(Self {
            runtime: Arc::new(runtime),
        })
    }

    /// Starts deliveries, jobs and bindings for `apps`, on the Tokio runtime it is called in. Each
    /// app with a `dapr` table is asked for its subscriptions, again and again until it answers.
    pub async fn start(&self, channel: Arc<dyn AppChannel>, apps: impl IntoIterator<Item = (AppId, Grants)>) {
        let runtime = &self.runtime;
        *runtime.apps.write() = apps.into_iter().collect();
        if runtime.started.set((channel, Handle::current())).is_err() {
            tracing::error!("the Dapr runtime was started twice; the second start is ignored");
            return;
        }
        runtime.begin().await;
    }

    /// Asks `app` for its subscriptions again, as after a new version of it was loaded; also
    /// makes an app known that was not there at the start.
    pub async fn refresh(&self, app: AppId, grants: Grants) {
        let known = self.runtime.apps.write().insert(app.clone(), grants);
        self.runtime.introduce(&app).await;
        if known.is_none() {
            self.runtime
                .spawn(start_bindings(self.runtime.clone(), app));
        }
    }

    /// True once every app has been asked for its subscriptions: from then on no event is missed
    /// by an app that answered. (From the second start on, what apps answered the last time holds
    /// from the first moment.)
    pub fn readiness(&self) -> watch::Receiver<bool> {
        self.runtime.ready.subscribe()
    }

    /// The apps that have been asked for their subscriptions and did not tell them yet, each with
    /// the reason.
    pub fn silent_apps(&self) -> Vec<(AppId, String)> {
        let silent = self.runtime.silent.lock();
        silent
            .iter()
            .map(|(app, reason)| (app.clone(), reason.clone()))
            .collect()
    }

    /// Whether `path` of `app` is one by which the runtime calls it (events, jobs, bindings, configuration). The
    /// embedder must refuse it to everyone else, invocations by other apps included.
    pub fn is_internal(&self, app: &AppId, path: &str) -> bool {
        self.runtime.is_internal(app, path)
    }

    /// Answers one call of the Dapr API, made by `caller`, who may reach what `grants` say.
    ///
    /// Every failure is an answer: Dapr's `{"errorCode", "message"}`, or for a missing grant a
    /// 403 `application/problem+json` that names it.
    pub async fn call(&self, caller: &AppId, grants: &Grants, request: Request<Body>) -> Response<Body> {
        self.answer(caller, grants, ApiRequest::parse(request))
            .await
    }

    /// The same for a request that has been parsed.
    pub(crate) async fn answer(&self, caller: &AppId, grants: &Grants, request: ApiRequest) -> Response<Body> {
        api::handle(&self.runtime, caller, grants, request).await
    }

    /// The same API for ordinary processes: everything that arrives is taken for a call of `app`.
    ///
    /// With [`Settings::api_token`] every call but the health checks must carry it. Without one the
    /// pages of a browser are kept out: a call must name this machine or one of
    /// [`Settings::allowed_hosts`], and if a page sent it, be of one of
    /// [`Settings::allowed_origins`].
    pub fn tcp_router(&self, app: AppId, grants: Grants) -> Router {
        tcp::router(self.clone(), app, grants)
    }

    /// Stops the background work and waits for the deliveries under way.
    pub async fn stop(&self) {
        self.runtime.stopping.cancel();
        self.runtime.tasks.close();
        self.runtime.tasks.wait().await;
    }
}

impl Runtime {
    /// Runs `work` in the background, on the Tokio runtime of the start.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Some((_, handle)) = self.started.get() {
            self.tasks.spawn_on(work, handle);
        }
    }

    pub(crate) fn grants_of(&self, app: &AppId) -> Grants {
        self.apps
            .read()
            .get(app)
            .cloned()
            .unwrap_or_else(Grants::none)
    }

    /// Whether deliveries to `app` have somewhere to go.
    pub(crate) fn can_reach(&self, app: &AppId) -> bool {
        self.apps.read().contains_key(app)
    }

    /// The process beside this one, which from now on is one of the apps and may do everything.
    pub(crate) fn add_outside(&self) -> Option<AppId> {
        let (outside, _) = self.outside.as_ref()?;
        self.apps.write().insert(outside.clone(), Grants::all());
        Some(outside.clone())
    }

    /// The apps that may have subscriptions and bindings: those with a `dapr` table.
    pub(crate) fn granted_apps(&self) -> Vec<AppId> {
        let apps = self.apps.read();
        let granted = apps.iter().filter(|(_, grants)| !grants.is_none());
        granted.map(|(app, _)| app.clone()).collect()
    }

    /// Whether any app in this process may subscribe to a topic by itself.
    pub(crate) fn is_granted_topic(&self, pubsub: &str, topic: &str) -> bool {
        let apps = self.apps.read();
        let mut inside = apps.iter().filter(|(app, _)| {
            let outside = self.outside.as_ref();
            outside.is_none_or(|(outside, _)| outside != *app)
        });
        inside.any(|(_, grants)| grants.allows_subscribe(pubsub, topic))
    }

    pub(crate) fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    pub(crate) fn set_ready(&self) {
        self.ready.send_replace(true);
    }

    /// Hands a request to an app; the answer's body streams.
    pub(crate) async fn deliver(&self, app: &AppId, request: Request<Body>) -> Result<Response<Body>, DeliverError> {
        if let Some((outside, channel)) = &self.outside
            && outside == app
        {
            return channel.deliver(app, request).await;
        }
        match self.started.get() {
            Some((channel, _)) => channel.deliver(app, request).await,
            None => Err(DeliverError::Unavailable {
                app: app.clone(),
                reason: "the runtime has not been started".to_owned(),
            }),
        }
    }

    /// Tells the embedding program what became of a delivery.
    pub(crate) fn settled(&self, app: &AppId, kind: DeliveryKind, result: DeliveryResult) {
        if let Some((channel, _)) = self.started.get() {
            channel.settled(app, kind, result);
        }
    }

    /// Hands a request to an app and waits for the whole answer, as long as `timeout` or else the
    /// channel allows.
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
        let patience = || match self.started.get() {
            Some((channel, _)) => channel.patience(app),
            None => Duration::ZERO,
        };
        let timeout = timeout.unwrap_or_else(patience);
        let answer = tokio::time::timeout(timeout, exchange).await;
        answer.unwrap_or_else(|_| Err(DeliveryFailure::Failed(format!("no answer in {timeout:?}"))))
    }
}

/// Empties the stores that do not outlive the process.
pub(crate) fn clear_volatile(conn: &rusqlite::Connection, stores: &[String]) -> Result<(), StoreError> {
    stores
        .iter()
        .try_for_each(|store| state::clear(conn, store).map(drop))
}
