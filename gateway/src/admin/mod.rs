//! The admin listener: health, metrics, status and operator calls, on an address of its own that must not be public.

pub mod client;
mod guard;
mod parked;
mod ready;
mod reload;
mod snapshot;
mod status;
mod tls;

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use parking_lot::Mutex;
use serde::Serialize;
use wasmgate_common::Problem;
use wasmgate_dapr::BuildingBlocks;

use crate::{
    config::{Secret, show_digest},
    engine::Choice,
    gateway::{Current, Gateway},
    metrics::Metrics,
    package::Package,
    server::Tls,
};

pub use parked::{MAX_LISTED, Order};
use reload::Reloads;
pub(crate) use reload::{NotReloaded, Reloaded, Wish};

/// The state behind the admin listener, from before the first package is loaded to the end of the drain.
#[derive(Clone)]
pub(crate) struct Status(Arc<Shared>);

struct Shared {
    metrics: Arc<Metrics>,
    /// Required from operators on other machines.
    token: Option<Secret>,
    gateway: OnceLock<Current>,
    /// What the start waits for, if anything.
    waiting: Mutex<Option<String>>,
    draining: AtomicBool,
    reloads: Reloads,
    /// The TLS of the public listener.
    tls: Option<Arc<Tls>>,
}

impl Status {
    /// The status of a gateway that is not ready yet; calls from other machines that change something need `token`.
    pub(crate) fn new(metrics: Arc<Metrics>, token: Option<Secret>, tls: Option<Arc<Tls>>) -> Self {
        Self(Arc::new(Shared {
            metrics,
            token,
            gateway: OnceLock::new(),
            waiting: Mutex::default(),
            draining: AtomicBool::new(false),
            reloads: Reloads::default(),
            tls,
        }))
    }

    /// Sets what the start waits for, if anything.
    pub(crate) fn waiting(&self, reason: Option<String>) {
        *self.0.waiting.lock() = reason;
    }

    /// From now on the gateway is ready.
    pub(crate) fn serving(&self, gateway: Current) {
        // Set once; a reload changes what is current.
        let _ = self.0.gateway.set(gateway);
    }

    /// From now on the gateway is draining.
    pub(crate) fn draining(&self) {
        self.0.draining.store(true, Ordering::Release);
    }

    /// Returns whether the drain has started.
    pub(crate) fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Acquire)
    }

    fn gateway(&self) -> Option<Arc<Gateway>> {
        Some(Arc::clone(&self.0.gateway.get()?.load()))
    }

    fn building_blocks(&self) -> Option<BuildingBlocks> {
        self.gateway()?.building_blocks().cloned()
    }
}

/// What `/livez` answers.
const ALIVE: &str = "ok\n";

/// `/livez`, `/readyz`, `/metrics`, `/packages`, `/status`, `/queues`, `/parked` and `/reload`.
pub(crate) fn router(status: Status) -> Router {
    Router::new()
        .route("/livez", get(|| async { ALIVE }))
        .route("/readyz", get(ready::answer))
        .route("/metrics", get(render))
        .route("/packages", get(packages))
        .route("/status", get(status::answer))
        .route("/queues", get(parked::queues))
        .route("/parked", get(parked::list))
        .route("/parked/release", post(parked::release))
        .route("/parked/drop", post(parked::discard))
        .route("/reload", post(reload::reload))
        .fallback(|| async { nowhere(StatusCode::NOT_FOUND, "There is no such page.") })
        .method_not_allowed_fallback(|| async {
            nowhere(
                StatusCode::METHOD_NOT_ALLOWED,
                "This page does not take the method.",
            )
        })
        .with_state(status)
}

/// The response to an unknown path or a wrong method.
fn nowhere(status: StatusCode, title: &str) -> Response {
    #[derive(Serialize)]
    struct Pages {
        message: &'static str,
    }
    let message = "there are /livez, /readyz, /metrics, /packages, /status, /queues and /parked to get, and \
                   /parked/release, /parked/drop and /reload to post to";
    Problem::with("about:blank", status, title, Pages { message }).into_response()
}

async fn render(State(status): State<Status>) -> impl IntoResponse {
    let taken = snapshot::take(&status).await;
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        status.0.metrics.render(taken),
    )
}

/// A package in `/packages`.
#[derive(Serialize)]
struct PackageStatus {
    name: String,
    #[serde(flatten)]
    choice: Option<Choice>,
    loaded: bool,
    instances: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    unavailable: Option<String>,
    /// Its registry reference and digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pulled: Option<PulledStatus>,
}

/// The registry reference of a package.
#[derive(Serialize)]
struct PulledStatus {
    reference: String,
    digest: String,
    component: String,
}

impl PackageStatus {
    fn new(package: &Arc<Package>) -> Self {
        Self {
            name: package.name().to_string(),
            choice: package
                .registered
                .as_ref()
                .map(|registered| registered.choice.clone()),
            loaded: package.is_loaded(),
            instances: package.account.admission.taken(),
            unavailable: package.unavailable(),
            pulled: package
                .registered
                .as_ref()
                .and_then(|registered| registered.pulled.as_ref())
                .map(|pulled| PulledStatus {
                    reference: pulled.reference.to_string(),
                    digest: show_digest(&pulled.manifest),
                    component: show_digest(&pulled.component),
                }),
        }
    }
}

async fn packages(State(status): State<Status>) -> Json<Vec<PackageStatus>> {
    let gateway = status.gateway();
    let packages = gateway
        .as_ref()
        .map_or(&[][..], |gateway| gateway.packages());
    Json(packages.iter().map(PackageStatus::new).collect())
}
