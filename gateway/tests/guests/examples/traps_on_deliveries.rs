//! Subscribes as `SUBSCRIPTIONS` in its environment says, and traps on every event.
#![cfg(target_arch = "wasm32")]

use wasip2::http::types::{IncomingRequest, ResponseOutparam};
use wasmgate_test_guests::{answer, dapr, serve, target};

serve!(handle);

#[allow(clippy::panic, reason = "panicking is what this guest is for")]
fn handle(request: IncomingRequest, out: ResponseOutparam) {
    match target(&request).as_str() {
        "/dapr/subscribe" => answer(
            out,
            200,
            &dapr::variable("SUBSCRIPTIONS").unwrap_or_default(),
        ),
        path => panic!("the guest cannot stand {path}"),
    }
}
