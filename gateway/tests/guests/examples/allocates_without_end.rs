//! Allocates until memory is refused; with `?gently=1` it notices the refusal and answers what it
//! got.
#![cfg(target_arch = "wasm32")]

use wasip2::http::types::{IncomingRequest, ResponseOutparam};
use wasmgate_test_guests::{answer, query, serve};

serve!(handle);

const MIB: usize = 1024 * 1024;

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let gently = query(&request, "gently").is_some();
    let mut hoard: Vec<Vec<u8>> = Vec::new();
    loop {
        let mut chunk = Vec::new();
        if gently && chunk.try_reserve_exact(MIB).is_err() {
            break;
        }
        chunk.resize(MIB, 1);
        hoard.push(chunk);
    }
    let megabytes = hoard.len();
    drop(hoard);
    answer(out, 200, &megabytes.to_string());
}
