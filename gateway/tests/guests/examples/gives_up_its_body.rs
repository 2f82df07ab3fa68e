//! Writes a beginning and drops its body without an end; `?slowly=1` lets the beginning go out first.
#![cfg(target_arch = "wasm32")]

use wasip2::{
    clocks::monotonic_clock::subscribe_duration,
    http::types::{IncomingRequest, ResponseOutparam},
};
use wasmgate_test_guests::{Answer, query, serve};

/// Long enough for a head to leave before its body breaks off.
const PAUSE_NS: u64 = 100_000_000;

serve!(handle);

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let mut answer = Answer::start(out, 200, &[]);
    answer.write(b"a beginning");
    if query(&request, "slowly").is_some() {
        subscribe_duration(PAUSE_NS).block();
    }
    drop(answer);
}
