//! Dapr's building blocks as packages reach them: who calls, what they may, and how they are called back.
//!
//! The embedded runtime and the sidecar's client are `wasmgate-dapr`, which knows nothing of Wasm; here they meet
//! packages.

mod caller;
mod channel;
mod headers;
mod operation;
mod unmet;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::Router;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::BodyExt as _;
use wasmgate_dapr::{
    AppId, Body, Dapr, Grants, OpenError, OutsideApp, QueueDepth,
    sidecar::{Callback, Sidecar, SidecarSettings, Topology},
};
use wasmtime_wasi_http::{Error, WasiBody};

use crate::{
    admin::Condition,
    config::{Config, DaprConfig, DaprMode},
    gateway::{Arrival, Gateway},
    identity::TRACEPARENT,
    invalid::Invalid,
};

pub use caller::{Caller, CallerError};
pub use headers::remove_dapr_headers;
pub use operation::Operation;
pub use wasmgate_dapr::is_dapr_path;

/// Where guests find the Dapr API, as Dapr's own SDKs expect it; the gateway answers there itself.
pub const ENDPOINT: &str = "http://localhost:3500";

/// Says that a request is an invocation by another app, which may not do what the building blocks do.
pub const CALLER: &str = "dapr-caller-app-id";

/// How long serving waits for a package that does not tell its subscriptions: above what a healthy one needs on a busy
/// machine, and short enough that a broken one does not keep the others from serving.
const SUBSCRIPTIONS_PATIENCE: Duration = Duration::from_secs(5);

/// The authorities that mean [`ENDPOINT`].
const AUTHORITIES: [&str; 2] = ["localhost:3500", "127.0.0.1:3500"];

/// Why there are no building blocks.
#[derive(Debug, thiserror::Error)]
pub enum BlocksError {
    /// The embedded runtime's data or component files cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A name is no app-id: configurations that were checked have none.
    #[error(transparent)]
    AppId(#[from] wasmgate_dapr::AppIdError),
}

/// The building blocks of one gateway. Cloning copies a pointer.
#[derive(Clone)]
pub struct Blocks(Arc<Mode>);

enum Mode {
    Embedded(Dapr),
    /// The client is there once the gateway has started it.
    Sidecar(SidecarSettings, OnceLock<Sidecar>),
}

impl Blocks {
    /// Opens the building blocks if the configuration has any use for them.
    ///
    /// # Errors
    /// When the embedded runtime's data or component files cannot be used.
    pub fn open(config: &Config) -> Result<Option<Self>, BlocksError> {
        let dapr = &config.dapr;
        let mode = match dapr.mode {
            DaprMode::Embedded if is_used(config) => Mode::Embedded(Dapr::open(embedded(dapr))?),
            DaprMode::Sidecar if is_used(config) => Mode::Sidecar(sidecar(dapr)?, OnceLock::new()),
            DaprMode::Embedded | DaprMode::Sidecar => return Ok(None),
        };
        Ok(Some(Self(Arc::new(mode))))
    }

    /// All that is wrong with the component files, without opening the data.
    pub fn check(config: &Config) -> Vec<Invalid> {
        let dapr = &config.dapr;
        if dapr.mode != DaprMode::Embedded || !is_used(config) {
            return Vec::new();
        }
        match Dapr::check(&embedded(dapr)) {
            Ok(()) => Vec::new(),
            Err(OpenError::Components(errors)) => errors.iter().map(invalid).collect(),
            Err(error) => vec![invalid(&error)],
        }
    }

    /// What a user should know of the grants and the component files, a sentence for each: grants that open nothing, and
    /// what components do here and not beside a sidecar.
    pub fn caveats(config: &Config) -> Vec<String> {
        let dapr = &config.dapr;
        match dapr.mode {
            DaprMode::Embedded if is_used(config) => {
                let settings = embedded(dapr);
                let mut told = unmet::unmet(config, &settings);
                told.extend(Dapr::caveats(&settings));
                told
            }
            _ => Vec::new(),
        }
    }

    /// Starts deliveries to the packages of `gateway`, on the Tokio runtime it is called in; `arrival` is what
    /// their instances send requests with. Returns when every package has told its subscriptions, so that from the
    /// first public request on it is known which paths are not public, but does not wait long for one that hangs; and
    /// when a sidecar that is there has subscribed for them, so that no event is lost that a first request causes.
    pub async fn start(&self, gateway: &Arc<Gateway>, arrival: &Arrival) {
        let callers = gateway.packages().iter().map(|package| &package.caller);
        let apps: Vec<_> = callers.map(Caller::app).collect();
        for package in gateway.packages().iter().filter(|p| p.caller.is_granted()) {
            package.metrics().expect_deliveries();
        }
        let channel = Arc::new(channel::Packages::new(
            Arc::downgrade(gateway),
            arrival.client.clone(),
        ));
        let mut known = match &*self.0 {
            Mode::Embedded(dapr) => {
                dapr.start(channel, apps).await;
                dapr.readiness()
            }
            Mode::Sidecar(settings, client) => client
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
        if let Mode::Sidecar(_, client) = &*self.0
            && let Some(sidecar) = client.get()
        {
            sidecar.settled().await;
        }
    }

    /// What keeps events from being delivered: packages that have not told their subscriptions, or a sidecar that is
    /// not there or has not subscribed for them. A sidecar that is lost, or that is late by far, keeps no package from
    /// being served that does not need it.
    pub fn conditions(&self) -> Vec<Condition> {
        match &*self.0 {
            Mode::Embedded(dapr) => {
                let unready = !*dapr.readiness().borrow();
                let unknown = |package, detail| Condition {
                    reason: "subscriptions-unknown",
                    package,
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
                    unknown(Some(app.to_string()), detail)
                });
                silent.collect()
            }
            Mode::Sidecar(_, client) => {
                let state = client.get().map(Sidecar::state);
                let amiss = state.and_then(|state| {
                    Some(Condition {
                        reason: match state.reachable {
                            true => "sidecar-not-subscribed",
                            false => "sidecar-missing",
                        },
                        package: None,
                        detail: state.detail?,
                        unready: !state.ready,
                    })
                });
                amiss.into_iter().collect()
            }
        }
    }

    /// Whether the sidecar answers; none where the building blocks are embedded.
    pub fn is_sidecar_there(&self) -> Option<bool> {
        match &*self.0 {
            Mode::Embedded(_) => None,
            Mode::Sidecar(_, client) => {
                let state = client.get().map(Sidecar::state);
                Some(state.is_some_and(|state| state.reachable))
            }
        }
    }

    /// The embedded runtime, if building blocks are embedded.
    pub fn embedded(&self) -> Option<&Dapr> {
        match &*self.0 {
            Mode::Embedded(dapr) => Some(dapr),
            Mode::Sidecar(..) => None,
        }
    }

    /// Every queue and what waits in it; a sidecar keeps that to itself.
    pub async fn queues(&self) -> Vec<QueueDepth> {
        match &*self.0 {
            Mode::Embedded(dapr) => dapr.all_queues().await,
            Mode::Sidecar(..) => Vec::new(),
        }
    }

    /// Whether a path of this package, as the guest would see it, is for the building blocks alone.
    pub fn is_internal(&self, caller: &Caller, path: &str) -> bool {
        match &*self.0 {
            Mode::Embedded(dapr) => dapr.is_internal(&caller.id, path),
            Mode::Sidecar(_, client) => client
                .get()
                .is_none_or(|sidecar| sidecar.is_internal(&caller.id, path)),
        }
    }

    /// What `[dapr] listen` serves: embedded, the API for other processes; beside a sidecar, its callbacks.
    ///
    /// # Errors
    /// Never for a configuration that was checked.
    pub fn router(
        &self,
        config: &DaprConfig,
        gateway: &Arc<Gateway>,
        arrival: &Arrival,
    ) -> Result<Router, BlocksError> {
        let dapr = match &*self.0 {
            Mode::Embedded(dapr) => dapr,
            Mode::Sidecar(..) => return Ok(self.callbacks(gateway, arrival)),
        };
        Ok(dapr.tcp_router(AppId::new(&config.app_id)?, Grants::all()))
    }

    /// Ends deliveries and waits for those under way.
    pub async fn stop(&self) {
        match &*self.0 {
            Mode::Embedded(dapr) => dapr.stop().await,
            // The sidecar delivers again what it has no answer for.
            Mode::Sidecar(..) => {}
        }
    }

    /// Answers a guest's call of the Dapr API.
    pub async fn call(&self, caller: &Caller, request: Request<WasiBody>) -> Response<WasiBody> {
        if !caller.is_granted() {
            return absent();
        }
        let request = request.map(Body::new);
        let response = match &*self.0 {
            Mode::Embedded(dapr) => dapr.call(&caller.id, &caller.grants, request).await,
            Mode::Sidecar(_, client) => match client.get() {
                Some(sidecar) => sidecar.call(&caller.id, &caller.grants, request).await,
                None => {
                    return problem(
                        http::StatusCode::SERVICE_UNAVAILABLE,
                        "The sidecar is not there yet.",
                    );
                }
            },
        };
        response.map(|body| body.map_err(broken).boxed_unsync())
    }

    fn callbacks(&self, gateway: &Arc<Gateway>, arrival: &Arrival) -> Router {
        let (mode, gateway, arrival) = (Arc::clone(&self.0), Arc::clone(gateway), arrival.clone());
        Router::new().fallback(move |request: Request<Body>| {
            let (mode, gateway, arrival) = (Arc::clone(&mode), Arc::clone(&gateway), arrival.clone());
            async move {
                let callback = match &*mode {
                    Mode::Sidecar(_, client) => match client.get() {
                        Some(sidecar) => sidecar.callback(request).await,
                        None => Callback::Invocation(request),
                    },
                    Mode::Embedded(_) => Callback::Invocation(request),
                };
                match callback {
                    Callback::Answered(response) => response,
                    Callback::Invocation(request) => {
                        let request = request.map(|body| body.map_err(broken));
                        gateway.handle(request, &arrival).await.map(Body::new)
                    }
                }
            }
        })
    }
}

/// Whether anybody may call the building blocks.
fn is_used(config: &Config) -> bool {
    let granted = config.packages.iter().any(|package| package.dapr.is_some());
    let outside = config.dapr.listen.is_some() || config.dapr.app_address.is_some();
    let served = config.dapr.mode == DaprMode::Embedded && outside;
    granted || served
}

/// An error of the runtime, which names its remedy after the last semicolon.
pub fn invalid(error: &impl ToString) -> Invalid {
    let text = error.to_string();
    match text.rsplit_once("; ") {
        Some((what, remedy)) => Invalid::new(what, remedy),
        None => Invalid::new(text, "correct it there"),
    }
}

fn embedded(dapr: &DaprConfig) -> wasmgate_dapr::Settings {
    let environment = dapr.environment.reveal().clone();
    wasmgate_dapr::Settings {
        data: dapr.data.clone(),
        components: dapr.components.clone(),
        substitute: dapr.substitute,
        api_token: dapr
            .api_token
            .as_ref()
            .map(|token| token.reveal().to_owned()),
        allowed_hosts: dapr.allowed_hosts.clone(),
        allowed_origins: dapr.allowed_origins.clone(),
        namespace: environment.get("NAMESPACE").cloned(),
        environment,
        outside: outside(dapr),
    }
}

/// The process that `[dapr] app_address` names. What was checked is an app-id, an authority and a header's value.
fn outside(dapr: &DaprConfig) -> Option<OutsideApp> {
    let token = dapr.app_token.as_ref();
    Some(OutsideApp {
        app: AppId::new(&dapr.app_id).ok()?,
        address: dapr.app_address?.to_string().parse().ok()?,
        token: token.and_then(|token| token.reveal().parse().ok()),
    })
}

fn sidecar(dapr: &DaprConfig) -> Result<SidecarSettings, BlocksError> {
    let topology = match &dapr.dedicated {
        Some(package) => Topology::Dedicated(AppId::new(package)?),
        None => Topology::Shared,
    };
    Ok(SidecarSettings {
        api_token: dapr
            .api_token
            .as_ref()
            .map(|token| token.reveal().to_owned()),
        app_token: dapr
            .app_token
            .as_ref()
            .map(|token| token.reveal().to_owned()),
        topology,
        invoke_remotely: !dapr.invoke_local,
        ..SidecarSettings::new(dapr.sidecar.clone())
    })
}

/// Whether a request of a guest is meant for the Dapr API.
pub fn is_dapr(uri: &Uri) -> bool {
    uri.authority()
        .is_some_and(|authority| AUTHORITIES.contains(&authority.as_str()))
}

/// The answer where there are no building blocks at all: as without any grant.
pub fn absent() -> Response<WasiBody> {
    problem(
        http::StatusCode::FORBIDDEN,
        "This package has no `dapr` table.",
    )
}

/// Lets a guest's call go on with the trace of the request that caused it, unless the guest says otherwise.
pub fn continue_trace<B>(request: &mut Request<B>, trace: Option<&HeaderValue>) {
    if let Some(trace) = trace {
        request
            .headers_mut()
            .entry(TRACEPARENT)
            .or_insert_with(|| trace.clone());
    }
}

fn problem(status: http::StatusCode, title: &str) -> Response<WasiBody> {
    let problem = serde_json::json!({ "type": "about:blank", "title": title, "status": status.as_u16() });
    let body = http_body_util::Full::new(Bytes::from(problem.to_string()));
    let mut response = Response::new(body.map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static("application/problem+json");
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}

/// What a guest is told of a body that broke off.
pub(crate) fn broken(error: axum::Error) -> Error {
    Error::InternalError(Some(error.to_string()))
}
