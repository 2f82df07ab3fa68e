//! Subscribes as `SUBSCRIPTIONS` in its environment says, and spins for ever on every event.
#![cfg(target_arch = "wasm32")]

use std::hint::black_box;

use wasip2::http::types::{IncomingRequest, ResponseOutparam};
use wasmgate_test_guests::{answer, dapr, serve, target};

serve!(handle);

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    if target(&request) == "/dapr/subscribe" {
        let list = dapr::variable("SUBSCRIPTIONS").unwrap_or_default();
        return answer(out, 200, &list);
    }
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}
