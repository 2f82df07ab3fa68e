//! Panics at its start.
#![cfg(target_arch = "wasm32")]

use wasmgate_sdk::{Router, init, serve};

init!(start_up);
serve!(app);

fn start_up() {
    let grinders = Vec::<u32>::new();
    assert!(!grinders.is_empty(), "there is no grinder");
}

fn app() -> Router {
    Router::new().get("/{*rest}", |_| "coffee")
}
