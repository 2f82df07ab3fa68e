//! The parts that every test guest needs of `wasi:http`, so that each guest shows only its own behaviour.
//!
//! Nothing here panics because of a client: a write to a client that has gone answers `false`, and
//! a body that was cut short says so.
#![cfg(target_arch = "wasm32")]
#![allow(
    clippy::expect_used,
    reason = "a host that breaks the wasi:http contract is a failed test, and a trap says so loudest"
)]

mod body;
pub mod dapr;
pub mod p3;

pub use body::{Answer, OutgoingBodyWriter, RequestBody};

use wasip2::http::types::{ErrorCode, FutureIncomingResponse, IncomingRequest, IncomingResponse, ResponseOutparam};

/// Exports `handle(IncomingRequest, ResponseOutparam)` as the component's HTTP handler.
#[macro_export]
macro_rules! serve {
    ($handler:path) => {
        struct Component;

        impl ::wasip2::exports::http::incoming_handler::Guest for Component {
            fn handle(request: ::wasip2::http::types::IncomingRequest, out: ::wasip2::http::types::ResponseOutparam) {
                $handler(request, out);
            }
        }

        ::wasip2::http::proxy::export!(Component);
    };
}

/// Sends a whole answer of plain text.
pub fn answer(out: ResponseOutparam, status: u16, text: &str) {
    let mut answer = Answer::start(out, status, &[("content-type", "text/plain")]);
    answer.write(text.as_bytes());
    answer.finish(None);
}

/// The path and query as the guest sees them.
#[must_use]
pub fn target(request: &IncomingRequest) -> String {
    request.path_with_query().unwrap_or_default()
}

/// The value of `?key=` in the target, as it stands (not percent-decoded).
#[must_use]
pub fn query(request: &IncomingRequest, key: &str) -> Option<String> {
    parameter(&target(request), key).map(str::to_owned)
}

/// The value of `?key=` in a target that was asked for already, as it stands.
#[must_use]
pub fn parameter<'a>(target: &'a str, key: &str) -> Option<&'a str> {
    let (_, query) = target.split_once('?')?;
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(name, _)| *name == key)
        .map(|(_, value)| value)
}

/// The number in `?key=`.
#[must_use]
pub fn number(request: &IncomingRequest, key: &str) -> u64 {
    query(request, key)
        .and_then(|value| value.parse().ok())
        .expect("the query holds a number")
}

/// The first value of a header, when it is UTF-8.
#[must_use]
pub fn header(request: &IncomingRequest, name: &str) -> Option<String> {
    let value = request.headers().get(name).into_iter().next()?;
    String::from_utf8(value).ok()
}

/// Waits for the answer to an outgoing request.
///
/// # Errors
/// The host's word for what went wrong with the call.
pub fn response_of(pending: &FutureIncomingResponse) -> Result<IncomingResponse, ErrorCode> {
    pending.subscribe().block();
    pending
        .get()
        .expect("the pollable said it is ready")
        .expect("the answer is taken once")
}
