//! Streams `?n=` events, `?every=` milliseconds apart, and then does what `?then=` says: it `ends`, `stalls` for an
//! hour, `spins`, or ends its answer and `works` on for ever.
#![cfg(target_arch = "wasm32")]

use std::hint::black_box;

use wasip2::{
    clocks::monotonic_clock,
    http::types::{IncomingRequest, ResponseOutparam},
};
use wasmgate_test_guests::{Answer, number, query, serve};

serve!(handle);

const MS: u64 = 1_000_000;
const HOUR: u64 = 3_600_000 * MS;

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let (events, pause) = (number(&request, "n"), number(&request, "every"));
    let then = query(&request, "then").unwrap_or_default();
    let mut answer = Answer::start(out, 200, &[("content-type", "text/event-stream")]);
    for event in 0..events {
        if !answer.write(format!("data: {event}\n\n").as_bytes()) {
            return;
        }
        monotonic_clock::subscribe_duration(pause * MS).block();
    }
    match then.as_str() {
        "stalls" => monotonic_clock::subscribe_duration(HOUR).block(),
        "spins" => spin(),
        "works" => {
            answer.finish(None);
            spin();
        }
        _ => answer.finish(None),
    }
}

fn spin() {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}
