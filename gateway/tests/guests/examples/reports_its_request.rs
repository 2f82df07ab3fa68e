//! Answers what it sees of its request: a line each for method, scheme, authority, target and
//! header.
#![cfg(target_arch = "wasm32")]

use std::fmt::Write as _;

use wasip2::http::types::{IncomingRequest, Method, ResponseOutparam, Scheme};
use wasmgate_test_guests::{answer, serve, target};

serve!(handle);

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let method = match request.method() {
        Method::Other(name) => name,
        known => format!("{known:?}").replace("Method::", "").to_uppercase(),
    };
    let scheme = match request.scheme() {
        Some(Scheme::Http) => "http",
        Some(Scheme::Https) => "https",
        _ => "none",
    };
    let authority = request.authority().unwrap_or_default();
    let mut report = format!(
        "method: {method}\nscheme: {scheme}\nauthority: {authority}\ntarget: {}\n",
        target(&request)
    );
    for (name, value) in request.headers().entries() {
        let _ = writeln!(report, "header {name}: {}", String::from_utf8_lossy(&value));
    }
    answer(out, 200, &report);
}
