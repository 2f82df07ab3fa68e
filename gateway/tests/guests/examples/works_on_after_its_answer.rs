//! Finishes its answer and then spins for ever.
#![cfg(target_arch = "wasm32")]

use std::hint::black_box;

use wasip2::http::types::{IncomingRequest, ResponseOutparam};
use wasmgate_test_guests::{answer, serve};

serve!(handle);

fn handle(_request: IncomingRequest, out: ResponseOutparam) {
    answer(out, 200, "done");
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}
