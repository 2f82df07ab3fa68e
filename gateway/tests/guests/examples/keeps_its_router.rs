//! Builds its router at its start and says when that was.
#![cfg(target_arch = "wasm32")]

use std::sync::atomic::{AtomicU32, Ordering};

use wasmgate_sdk::{Router, init, serve};

static BUILT: AtomicU32 = AtomicU32::new(0);
static REQUESTS: AtomicU32 = AtomicU32::new(0);

init!(app);
serve!(app);

fn app() -> Router {
    BUILT.fetch_add(1, Ordering::Relaxed);
    Router::new().get("/{*rest}", |_| {
        let requests = REQUESTS.fetch_add(1, Ordering::Relaxed) + 1;
        format!(
            "built {}, request {requests}",
            BUILT.load(Ordering::Relaxed)
        )
    })
}
