//! Calls the Dapr API as the header `x-call` says, with its own method, body and `x-send-` headers, and answers what
//! came back.
#![cfg(target_arch = "wasm32")]

use wasip2::http::types::{IncomingRequest, ResponseOutparam};
use wasmgate_test_guests::{answer, dapr, header, serve};

serve!(handle);

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    match header(&request, "x-call") {
        Some(_) => dapr::relay(&request, out),
        None => answer(out, 404, "nothing to call"),
    }
}
