//! Streams `?n=` bytes of `x`, without announcing their number.
#![cfg(target_arch = "wasm32")]

use wasip2::http::types::{IncomingRequest, ResponseOutparam};
use wasmgate_test_guests::{Answer, number, serve};

serve!(handle);

const CHUNK: [u8; 4096] = [b'x'; 4096];

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let mut left = number(&request, "n") as usize;
    let mut answer = Answer::start(out, 200, &[("content-type", "application/octet-stream")]);
    while left > 0 {
        let chunk = CHUNK.get(..left).unwrap_or(&CHUNK);
        if !answer.write(chunk) {
            return;
        }
        left -= chunk.len();
    }
    answer.finish(None);
}
