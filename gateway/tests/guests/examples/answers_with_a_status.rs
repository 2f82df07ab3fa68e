//! Answers `?status=` with a body, two cookies and a forged `x-wasmgate-error` header.
#![cfg(target_arch = "wasm32")]

use wasip2::http::types::{IncomingRequest, ResponseOutparam};
use wasmgate_test_guests::{Answer, number, serve};

serve!(handle);

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let headers = [
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("x-wasmgate-error", "guest-trap"),
    ];
    let status = number(&request, "status") as u16;
    let mut answer = Answer::start(out, status, &headers);
    if !matches!(status, 204 | 304) {
        answer.write(b"the guest's own words");
    }
    answer.finish(None);
}
