//! Answers with `?n=` header fields of `?bytes=` each.
#![cfg(target_arch = "wasm32")]

use wasip2::http::types::{IncomingRequest, ResponseOutparam};
use wasmgate_test_guests::{Answer, number, serve};

serve!(handle);

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let value = "v".repeat(number(&request, "bytes") as usize);
    let names: Vec<String> = (0..number(&request, "n"))
        .map(|n| format!("x-{n}"))
        .collect();
    let headers: Vec<(&str, &str)> = names
        .iter()
        .map(|name| (name.as_str(), value.as_str()))
        .collect();
    Answer::start(out, 200, &headers).finish(None);
}
