//! Subscribes to the kitchen's orders, and traps on every one: a station that cannot work.
#![cfg(target_arch = "wasm32")]

use wasip2::http::types::{IncomingRequest, ResponseOutparam};
use wasmgate_test_guests::{answer, serve, target};

const SUBSCRIPTIONS: &str = r#"[{
    "pubsubname": "kitchenpubsub", "topic": "kitchenorderplaced", "route": "/orders",
    "deadLetterTopic": "kitchenorderplaced-dead"
}]"#;

serve!(handle);

#[allow(clippy::panic, reason = "panicking is what this guest is for")]
fn handle(request: IncomingRequest, out: ResponseOutparam) {
    match target(&request).as_str() {
        "/dapr/subscribe" => answer(out, 200, SUBSCRIPTIONS),
        other => panic!("the oven is on fire: {other}"),
    }
}
