//! Calls itself as often as `?depth=` says, and answers with that number.
#![cfg(target_arch = "wasm32")]

use std::hint::black_box;

use wasip2::http::types::{IncomingRequest, ResponseOutparam};
use wasmgate_test_guests::{answer, query, serve};

serve!(handle);

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let depth = query(&request, "depth")
        .and_then(|depth| depth.parse::<u64>().ok())
        .unwrap_or(0);
    answer(out, 200, &dig(depth).to_string());
}

fn dig(left: u64) -> u64 {
    if left == 0 {
        return 0;
    }
    black_box(dig(black_box(left - 1))) + 1
}
