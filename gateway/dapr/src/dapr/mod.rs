//! The embedded runtime: the layer above its API, composed of building blocks.

mod operator;
mod outline;
mod outside;
mod reload;
mod start;

use std::{collections::BTreeSet, sync::Arc};

use axum::{Router, body::Body};
use http::{Request, Response};
use tokio::sync::{Notify, watch};

pub use operator::Usage;
pub use outline::Outline;

use crate::{
    api::{Api, Heavy},
    app::{AppChannel, AppId, Apps},
    background::Background,
    bindings::{self, Bindings},
    broker::Broker,
    components::{self, Current},
    configuration::{self, Configuration},
    error::ApiError,
    grants::Grants,
    internal::DeliveryPaths,
    invoke::Invocation,
    jobs::{self, Jobs},
    lock::Locks,
    notes::Notes,
    open_error::OpenError,
    protocol::ApiRequest,
    providers::https,
    pubsub::{self, PubSub},
    secrets::Secrets,
    settings::Settings,
    state::{self, State, StateKeys},
    store::Store,
    tcp,
};

/// The embedded runtime. Cloning copies a pointer.
#[derive(Clone)]
pub struct Dapr(Arc<Runtime>);

struct Runtime {
    settings: Settings,
    api: Arc<Api>,
    store: Arc<Store>,
    broker: Arc<Broker>,
    apps: Arc<Apps>,
    paths: Arc<DeliveryPaths>,
    background: Background,
    /// Told when the components are others: the process beside this one may have other subscriptions then.
    components_changed: Notify,
}

impl Dapr {
    /// Reads the resource YAML without opening the database.
    ///
    /// # Errors
    /// All mistakes in the YAML.
    pub fn check(settings: &Settings) -> Result<(), OpenError> {
        components::load(settings)
            .map(drop)
            .map_err(OpenError::Components)
    }

    /// A sentence for each thing that the resource YAML's components do here and not beside a sidecar, or the other way
    /// round. Of the components that there are without a folder it is told which variables of the environment are
    /// served as secrets, if any are listed; there is none for files with mistakes.
    pub fn caveats(settings: &Settings) -> Vec<String> {
        match (&settings.components, components::load(settings)) {
            (Some(_), Ok(components)) => components::caveats(&components),
            (None, Ok(components)) if !settings.secret_env.is_empty() => components::environment(&components),
            _ => Vec::new(),
        }
    }

    /// What the resource YAML says, for those who check what is said of it elsewhere; none if there are mistakes in it.
    pub fn outline(settings: &Settings) -> Option<Outline> {
        components::load(settings).ok().map(Outline::new)
    }

    /// Opens the database and reads the resource YAML. Nothing runs before [`Dapr::start`].
    ///
    /// # Errors
    /// When the data folder or the resource YAML cannot be used.
    pub fn open(settings: Settings) -> Result<Self, OpenError> {
        let components = components::load(&settings).map_err(OpenError::Components)?;
        let components = Current::new(components);
        let store = Arc::new(Store::open(&settings.data)?);
        let client = https::client().map_err(OpenError::Tls)?;
        let apps = Arc::new(Apps::new(&settings));
        let broker = Arc::new(Broker::new(apps.clone()));
        let paths = Arc::new(DeliveryPaths::default());
        let background = Background::default();
        let api = Api {
            state: State::new(state::Options {
                store: store.clone(),
                components: components.clone(),
                broker: broker.clone(),
                apps: apps.clone(),
            }),
            pubsub: Arc::new(PubSub::new(pubsub::Options {
                store: store.clone(),
                components: components.clone(),
                broker: broker.clone(),
                apps: apps.clone(),
                paths: paths.clone(),
                background: background.clone(),
            })),
            jobs: Arc::new(Jobs::new(jobs::Options {
                store: store.clone(),
                apps: apps.clone(),
                background: background.clone(),
            })),
            configuration: Arc::new(Configuration::new(configuration::Options {
                components: components.clone(),
                apps: apps.clone(),
                background: background.clone(),
            })),
            bindings: Arc::new(Bindings::new(bindings::Options {
                components: components.clone(),
                apps: apps.clone(),
                paths: paths.clone(),
                client,
                background: background.clone(),
            })),
            secrets: Secrets::new(components.clone()),
            locks: Locks::new(store.clone(), components.clone(), apps.clone()),
            invocation: Invocation::new(
                apps.clone(),
                components.clone(),
                settings.namespace.as_deref(),
            ),
            components,
            notes: Notes::default(),
            heavy: Heavy::default(),
            ready: watch::Sender::new(false),
        };
        Ok(Self(Arc::new(Runtime {
            settings,
            api: Arc::new(api),
            store,
            broker,
            apps,
            paths,
            background,
            components_changed: Notify::new(),
        })))
    }

    /// Starts deliveries, jobs and bindings for `apps`, on the Tokio runtime it is called in. Each
    /// app with a `dapr` table is asked for its subscriptions, again and again until it answers.
    pub async fn start(&self, channel: Arc<dyn AppChannel>, apps: impl IntoIterator<Item = (AppId, Grants)>) {
        if !self.0.apps.connect(channel, apps) {
            tracing::error!("the Dapr runtime was started twice; the second start is ignored");
            return;
        }
        self.0.background.start();
        self.0.api.heavy.start();
        start::begin(&self.0).await;
    }

    /// Asks `app` for its subscriptions again, as after a new version of it was loaded; also
    /// makes an app known that was not there at the start.
    pub async fn refresh(&self, app: AppId, grants: Grants) {
        let is_new = self.0.apps.insert(app.clone(), grants);
        let api = &self.0.api;
        api.bindings.note_paths(&app);
        api.pubsub.introduce(&app).await;
        if is_new {
            api.bindings.start(app);
        }
    }

    /// Serves other apps, and what the resource YAML says now. Each app that is new, that was given other grants or
    /// that is `changed` is asked for its subscriptions, and every one if the YAML says something else; what is under
    /// way goes on. The listener's settings and the data folder stay as they were opened.
    ///
    /// # Errors
    /// All mistakes in the YAML: nothing is changed then.
    pub async fn reload(
        &self,
        settings: &Settings,
        apps: impl IntoIterator<Item = (AppId, Grants)>,
        changed: &BTreeSet<AppId>,
    ) -> Result<(), OpenError> {
        let components = components::load(settings).map_err(OpenError::Components)?;
        self.0.apps.set_quotas(settings.quotas);
        reload::reload(&self.0, components, apps.into_iter().collect(), changed).await;
        Ok(())
    }

    /// True once every app has been asked for its subscriptions: from then on no event is missed
    /// by an app that answered. (From the second start on, what apps answered the last time holds
    /// from the first moment.)
    pub fn readiness(&self) -> watch::Receiver<bool> {
        self.0.api.ready.subscribe()
    }

    /// The apps that have been asked for their subscriptions and did not tell them yet, each with
    /// the reason.
    pub fn silent_apps(&self) -> Vec<(AppId, String)> {
        self.0.api.pubsub.silent_apps()
    }

    /// Returns true if `path` of `app` is one by which the runtime calls it (events, jobs, bindings, configuration).
    /// The embedder must refuse it to everyone else, invocations by other apps included.
    pub fn is_internal(&self, app: &AppId, path: &str) -> bool {
        self.0.paths.is_internal(app, path)
    }

    /// Answers one call of the Dapr API, made by `caller`, who may reach what `grants` say.
    ///
    /// Every failure is an answer: Dapr's `{"errorCode", "message"}`, or for a missing grant a
    /// 403 `application/problem+json` that names it.
    pub async fn call(&self, caller: &AppId, grants: &Grants, request: Request<Body>) -> Response<Body> {
        self.answer(caller, grants, ApiRequest::parse(request))
            .await
    }

    /// Answers a request that has been parsed.
    pub(crate) async fn answer(&self, caller: &AppId, grants: &Grants, request: ApiRequest) -> Response<Body> {
        self.0.api.answer(caller, grants, request).await
    }

    /// Lists the keys of `caller` in a state store, as [`crate::BuildingBlocks::state_keys`] tells.
    pub(crate) async fn state_keys(
        &self,
        caller: &AppId,
        grants: &Grants,
        of: (&str, &str),
        after: Option<i64>,
    ) -> Result<StateKeys, ApiError> {
        self.0.api.state_keys(caller, grants, of, after).await
    }

    /// The router of the API for ordinary processes: everything that arrives is taken for a call of `app`.
    ///
    /// With [`Settings::api_token`] every call but the health checks must carry it. Without one the
    /// pages of a browser are kept out: a call must name this machine or one of
    /// [`Settings::allowed_hosts`], and if a page sent it, be of one of
    /// [`Settings::allowed_origins`].
    pub fn tcp_router(&self, app: AppId, grants: Grants) -> Router {
        let (dapr, caller) = (self.clone(), Arc::new((app, grants)));
        Router::new().fallback(move |request: Request<Body>| {
            let (dapr, caller) = (dapr.clone(), caller.clone());
            async move {
                match tcp::check(&dapr.0.settings, &request).and_then(|()| tcp::check_protocol(&request)) {
                    Ok(()) => dapr.call(&caller.0, &caller.1, request).await,
                    Err(refusal) => *refusal,
                }
            }
        })
    }

    /// Stops the background work and waits for the deliveries under way.
    pub async fn stop(&self) {
        self.0.background.stop().await;
    }
}
