//! The admin listener: health, metrics and what is served, on an address of its own that is never public.

pub mod metrics;
pub mod pool;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use crate::blocks::Blocks;
use crate::engine::Choice;
use crate::gateway::Gateway;
use crate::package::Package;
use metrics::Metrics;

/// What the admin listener tells, from before the first package is loaded to the end of the drain.
#[derive(Clone)]
pub struct Status(Arc<Shared>);

struct Shared {
    metrics: Arc<Metrics>,
    gateway: OnceLock<Arc<Gateway>>,
    draining: AtomicBool,
}

impl Status {
    /// Of a gateway that is not ready yet.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self(Arc::new(Shared {
            metrics,
            gateway: OnceLock::new(),
            draining: AtomicBool::new(false),
        }))
    }

    /// From now on the gateway is ready.
    pub fn serving(&self, gateway: Arc<Gateway>) {
        // It is said once; a second gateway would have a status of its own.
        let _ = self.0.gateway.set(gateway);
    }

    /// From now on the gateway is not ready any more.
    pub fn draining(&self) {
        self.0.draining.store(true, Ordering::Release);
    }

    fn is_ready(&self) -> bool {
        let serving = self
            .0
            .gateway
            .get()
            .is_some_and(|gateway| gateway.blocks().is_none_or(Blocks::is_ready));
        serving && !self.0.draining.load(Ordering::Acquire)
    }
}

/// `/livez`, `/readyz`, `/metrics` and `/packages`.
pub fn router(status: Status) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(render))
        .route("/packages", get(packages))
        .with_state(status)
}

async fn ready(State(status): State<Status>) -> impl IntoResponse {
    if status.is_ready() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}

async fn render(State(status): State<Status>) -> impl IntoResponse {
    if let Some(blocks) = status.0.gateway.get().and_then(|gateway| gateway.blocks()) {
        status.0.metrics.show_queues(&blocks.queues().await);
    }
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        status.0.metrics.render(),
    )
}

/// One package as `/packages` shows it.
#[derive(Serialize)]
struct PackageStatus {
    name: String,
    #[serde(flatten)]
    choice: Choice,
    loaded: bool,
    instances: usize,
}

impl PackageStatus {
    fn of(package: &Arc<Package>) -> Self {
        Self {
            name: package.name.to_string(),
            choice: package.registered.choice.clone(),
            loaded: package.is_loaded(),
            instances: package.admission.taken(),
        }
    }
}

async fn packages(State(status): State<Status>) -> Json<Vec<PackageStatus>> {
    let packages = status
        .0
        .gateway
        .get()
        .map_or(&[][..], |gateway| gateway.packages());
    Json(packages.iter().map(PackageStatus::of).collect())
}
