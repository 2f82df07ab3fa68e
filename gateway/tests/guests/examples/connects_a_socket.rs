//! Tries to connect a TCP socket to `?to=` and answers whether it could.
#![cfg(target_arch = "wasm32")]

use std::net::TcpStream;

use wasip2::http::types::{IncomingRequest, ResponseOutparam};
use wasmgate_test_guests::{answer, query, serve};

serve!(handle);

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let to = query(&request, "to").unwrap_or_default();
    match TcpStream::connect(&to) {
        Ok(_) => answer(out, 200, "connected"),
        Err(_) => answer(out, 200, "refused"),
    }
}
