//! Makes one of Rust's hash maps at its start, which asks for a seed.
#![cfg(target_arch = "wasm32")]

use std::{collections::HashMap, sync::LazyLock};

use wasmgate_sdk::{Router, init, serve};

static PRICES: LazyLock<HashMap<&str, u32>> = LazyLock::new(|| HashMap::from([("espresso", 2), ("flat white", 4)]));

init!(start_up);
serve!(app);

fn start_up() {
    LazyLock::force(&PRICES);
}

fn app() -> Router {
    Router::new().get("/{*rest}", |_| format!("{:?}", PRICES.get("espresso")))
}
