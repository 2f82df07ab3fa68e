//! Panics with a message before it answers.
#![cfg(target_arch = "wasm32")]

use wasip2::http::types::{IncomingRequest, ResponseOutparam};
use wasmgate_test_guests::serve;

serve!(handle);

#[allow(clippy::panic, reason = "panicking is what this guest is for")]
fn handle(_request: IncomingRequest, _out: ResponseOutparam) {
    panic!("the guest lost its temper");
}
