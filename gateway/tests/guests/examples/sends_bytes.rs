//! Streams `?n=` bytes of `x`, without announcing their number, `?chunk=` of them at a time (4,096 unless said).
#![cfg(target_arch = "wasm32")]

use wasip2::http::types::{IncomingRequest, ResponseOutparam};
use wasmgate_test_guests::{Answer, number, query, serve};

serve!(handle);

/// The bytes of a chunk unless said.
const CHUNK: usize = 4096;

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let mut left = number(&request, "n") as usize;
    let size = query(&request, "chunk").and_then(|size| size.parse().ok());
    let size = size.unwrap_or(CHUNK);
    let full = vec![b'x'; size];
    let mut answer = Answer::start(out, 200, &[("content-type", "application/octet-stream")]);
    while left > 0 {
        let chunk = full.get(..left).unwrap_or(&full);
        if !answer.write(chunk) {
            return;
        }
        left -= chunk.len();
    }
    answer.finish(None);
}
