//! Whether the sidecar is there, asked again and again.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use axum::body::Body;
use http::Request;
use tokio::time::{sleep, timeout};

use super::Shared;

/// Between two questions: a sidecar that went away is noticed within about this time.
const PERIOD: Duration = Duration::from_millis(500);

/// What a healthy sidecar needs at most.
const PATIENCE: Duration = Duration::from_secs(2);

/// Watches until the last [`super::Sidecar`] is gone.
pub(super) async fn watch(sidecar: Weak<Shared>) {
    while let Some(shared) = sidecar.upgrade() {
        let healthy = is_healthy(&shared).await;
        let changed = shared
            .healthy
            .send_if_modified(|known| std::mem::replace(known, healthy) != healthy);
        if changed {
            let endpoint = &shared.settings.endpoint;
            tracing::info!(%endpoint, healthy, "the Dapr sidecar");
        }
        drop(shared);
        sleep(PERIOD).await;
    }
}

async fn is_healthy(shared: &Arc<Shared>) -> bool {
    // `outbound` does not wait for the app: with it, the start order does not matter.
    let Ok(request) = Request::get("/v1.0/healthz/outbound").body(Body::empty()) else {
        return false;
    };
    let answer = timeout(PATIENCE, shared.send(request)).await;
    matches!(answer, Ok(Ok(response)) if response.status().is_success())
}
