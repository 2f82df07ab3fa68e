//! Traps when `?n=` is a multiple of ten, and answers the number otherwise.
#![cfg(target_arch = "wasm32")]

use wasip2::http::types::{IncomingRequest, ResponseOutparam};
use wasmgate_test_guests::{answer, number, serve};

serve!(handle);

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let n = number(&request, "n");
    if n.is_multiple_of(10) {
        core::arch::wasm32::unreachable();
    }
    answer(out, 200, &n.to_string());
}
