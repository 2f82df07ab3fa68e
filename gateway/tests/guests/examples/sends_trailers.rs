//! Sends a body and one trailer field, `x-checksum`.
#![cfg(target_arch = "wasm32")]

use wasip2::http::types::{Fields, IncomingRequest, ResponseOutparam};
use wasmgate_test_guests::{Answer, serve};

serve!(handle);

fn handle(_request: IncomingRequest, out: ResponseOutparam) {
    let mut answer = Answer::start(out, 200, &[("trailer", "x-checksum")]);
    answer.write(b"body");
    let trailers = Fields::new();
    let set = trailers.append("x-checksum", b"4");
    answer.finish(set.is_ok().then_some(trailers));
}
