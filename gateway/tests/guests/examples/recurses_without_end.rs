//! Calls itself until its stack is used up.
#![cfg(target_arch = "wasm32")]

use std::hint::black_box;

use wasip2::http::types::{IncomingRequest, ResponseOutparam};
use wasmgate_test_guests::{answer, serve};

serve!(handle);

fn handle(_request: IncomingRequest, out: ResponseOutparam) {
    let depth = dig(0);
    answer(out, 200, &depth.to_string());
}

#[allow(
    unconditional_recursion,
    reason = "a stack overflow is what this guest is for"
)]
fn dig(depth: u64) -> u64 {
    black_box(dig(black_box(depth + 1))) + 1
}
