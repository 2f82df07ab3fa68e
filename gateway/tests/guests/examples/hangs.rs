//! Waits for an hour before it answers; with `?head=1` it sends its head first.
#![cfg(target_arch = "wasm32")]

use wasip2::{
    clocks::monotonic_clock,
    http::types::{IncomingRequest, ResponseOutparam},
};
use wasmgate_test_guests::{Answer, query, serve};

serve!(handle);

const HOUR_NS: u64 = 3_600_000_000_000;

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    if query(&request, "head").is_some() {
        let mut answer = Answer::start(out, 200, &[]);
        answer.write(b"a beginning");
        monotonic_clock::subscribe_duration(HOUR_NS).block();
        answer.finish(None);
    } else {
        monotonic_clock::subscribe_duration(HOUR_NS).block();
        Answer::start(out, 200, &[]).finish(None);
    }
}
