//! Spins for ever without a host call; with `?head=1` it sends its head first.
#![cfg(target_arch = "wasm32")]

use std::hint::black_box;

use wasip2::http::types::{IncomingRequest, ResponseOutparam};
use wasmgate_test_guests::{Answer, query, serve};

serve!(handle);

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let _answer = query(&request, "head").map(|_| {
        let mut answer = Answer::start(out, 200, &[]);
        answer.write(b"a beginning");
        answer
    });
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}
