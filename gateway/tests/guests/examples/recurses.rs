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
    black_box(dig(depth));
    answer(out, 200, &depth.to_string());
}

/// Nothing of it is in the component's memory, whose own part for such things is smaller, and no compiler makes a loop
/// of it.
#[inline(never)]
fn dig(left: u64) -> u64 {
    if left == 0 {
        return 1;
    }
    dig(left - 1).rotate_left(1) ^ left
}
