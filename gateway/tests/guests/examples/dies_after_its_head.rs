//! Sends its head and some of its body, then traps; `?length=` announces a content-length.
#![cfg(target_arch = "wasm32")]

use wasip2::http::types::{IncomingRequest, ResponseOutparam};
use wasmgate_test_guests::{Answer, query, serve};

serve!(handle);

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let length = query(&request, "length");
    let headers: Vec<(&str, &str)> = length
        .iter()
        .map(|length| ("content-length", length.as_str()))
        .collect();
    let mut answer = Answer::start(out, 200, &headers);
    answer.write(b"a beginning");
    core::arch::wasm32::unreachable();
}
