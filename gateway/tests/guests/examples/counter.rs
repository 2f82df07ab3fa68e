//! Counts its calls in a static: a fresh instance always answers 1.
#![cfg(target_arch = "wasm32")]

use std::sync::atomic::{AtomicU64, Ordering};

use wasip2::http::types::{IncomingRequest, ResponseOutparam};
use wasmgate_test_guests::{answer, serve};

serve!(handle);

static CALLS: AtomicU64 = AtomicU64::new(0);

fn handle(_request: IncomingRequest, out: ResponseOutparam) {
    let calls = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
    answer(out, 200, &calls.to_string());
}
