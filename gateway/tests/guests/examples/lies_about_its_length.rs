//! Announces ten bytes of body and writes `?bytes=` of them.
#![cfg(target_arch = "wasm32")]

use wasip2::http::types::{IncomingRequest, ResponseOutparam};
use wasmgate_test_guests::{Answer, number, serve};

serve!(handle);

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let bytes = number(&request, "bytes");
    let mut answer = Answer::start(out, 200, &[("content-length", "10")]);
    for _ in 0..bytes {
        answer.write(b"x");
    }
    answer.finish(None);
}
