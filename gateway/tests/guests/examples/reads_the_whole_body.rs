//! Answers the number of body bytes once the body has ended, or `cut short` when it never did.
#![cfg(target_arch = "wasm32")]

use wasip2::http::types::{IncomingRequest, ResponseOutparam};
use wasmgate_test_guests::{RequestBody, answer, serve};

serve!(handle);

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let mut body = RequestBody::of(&request);
    let mut bytes = 0;
    while let Some(chunk) = body.chunk() {
        bytes += chunk.len();
    }
    if body.was_cut_short() {
        answer(out, 200, "cut short");
    } else {
        answer(out, 200, &bytes.to_string());
    }
}
