//! Answers `?status=` with the `content-length` of another response and an empty body, as frameworks answer HEAD and
//! 304, and insists that this is right; `?body=none` does not even take the body.
#![cfg(target_arch = "wasm32")]
#![allow(
    clippy::expect_used,
    reason = "what the guest expects of its host, its test sees fail"
)]

use wasip2::http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};
use wasmgate_test_guests::{number, query, serve};

serve!(handle);

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let fields = Fields::new();
    fields.append("content-length", b"1234").expect("a length");
    let response = OutgoingResponse::new(fields);
    let status = number(&request, "status") as u16;
    response.set_status_code(status).expect("a status");
    if query(&request, "body").is_some() {
        return ResponseOutparam::set(out, Ok(response));
    }
    let body = response.body().expect("the body is taken once");
    ResponseOutparam::set(out, Ok(response));
    OutgoingBody::finish(body, None).expect("body length did not match Content-Length");
}
