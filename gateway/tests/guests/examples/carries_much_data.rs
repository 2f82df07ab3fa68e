//! Has two megabytes of data, and answers the byte at `?at=`.
#![cfg(target_arch = "wasm32")]

use std::hint::black_box;

use wasip2::http::types::{IncomingRequest, ResponseOutparam};
use wasmgate_test_guests::{answer, query, serve};

serve!(handle);

static DATA: [u8; 2 << 20] = [7; 2 << 20];

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let at = query(&request, "at")
        .and_then(|at| at.parse::<usize>().ok())
        .unwrap_or(0);
    let byte = black_box(&DATA).get(at).copied().unwrap_or(0);
    answer(out, 200, &byte.to_string());
}
