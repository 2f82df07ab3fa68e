//! Answers a greeting and reads nothing: the well-behaved neighbour in most tests.
#![cfg(target_arch = "wasm32")]

use wasip2::http::types::{IncomingRequest, ResponseOutparam};
use wasmgate_test_guests::{answer, serve};

serve!(handle);

fn handle(_request: IncomingRequest, out: ResponseOutparam) {
    answer(out, 200, "Hello from a package\n");
}
