//! The response of a guest: its head, and what the host tracks about its body.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Request, Response, response::Parts};
use wasmtime_wasi_http::{WasiBody, p2::bindings::http::types::ErrorCode};

use super::handed::Handed;
use crate::{
    request_headers::keep_trailers,
    unsent::{self, Held, Unsent},
};

/// The most bytes of the fields of a response's head, names and values: what proxies and clients take at most (most
/// take 8 to 64 KiB).
pub(super) const RESPONSE_HEAD: usize = 64 * 1024;

/// Refuses the head of a guest's response that cannot be sent on, and fits its values to what can.
///
/// # Errors
/// With what is wrong, for the log.
pub(super) fn fit(head: &mut Parts) -> Result<(), String> {
    // 1xx is no answer but an announcement of one, and nothing above 599 has a meaning (RFC 9110, 15).
    if !(200..600).contains(&head.status.as_u16()) {
        return Err(format!(
            "{} is no status of a response",
            head.status.as_u16()
        ));
    }
    let fields = head.headers.iter_mut();
    let bytes: usize = fields
        .map(|(name, value)| {
            trim(value);
            name.as_str().len().saturating_add(value.len())
        })
        .sum();
    if bytes > RESPONSE_HEAD {
        return Err(format!(
            "the head of the response has {bytes} bytes; at most {RESPONSE_HEAD} can be sent"
        ));
    }
    Ok(())
}

/// Fits the trailers of a guest's response to what can be sent: what only a head may have, a client may take for a
/// second head and refuse all of the response.
pub(super) fn fit_trailers(trailers: &mut HeaderMap) {
    keep_trailers(trailers);
    trailers.values_mut().for_each(trim);
}

/// Takes away the blanks around a value: they are none of it (RFC 9110, 5.5), and strict clients of HTTP/2 refuse a
/// message that has them (RFC 9113, 8.2.1).
fn trim(value: &mut HeaderValue) {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let bytes = value.as_bytes();
    if !is_blank(bytes.first()) && !is_blank(bytes.last()) {
        return;
    }
    let is_sensitive = value.is_sensitive();
    if let Ok(mut trimmed) = HeaderValue::from_bytes(bytes.trim_ascii()) {
        trimmed.set_sensitive(is_sensitive);
        *value = trimmed;
    }
}

/// What a guest answers: a response, or an error in its place.
pub(super) type Head = Result<Response<WasiBody>, ErrorCode>;

/// The guest's answer, as far as the host has seen.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// The request was HEAD.
    pub(super) is_head: bool,
    /// The table's name for the body that a guest of WASI 0.2 writes.
    pub(super) body: Option<u32>,
    /// The body that a guest of WASI 0.3 has handed over.
    pub(super) handed: Option<Handed>,
    /// What waits on the connection, if several answers may.
    unsent: Option<Arc<Unsent>>,
    /// What it may write ahead counts there until it has ended.
    granted: Option<Held>,
}

impl Answer {
    /// To this request.
    pub(super) fn new<B>(request: &Request<B>) -> Self {
        Self {
            is_head: request.method() == Method::HEAD,
            body: None,
            handed: None,
            unsent: request.extensions().get().cloned(),
            granted: None,
        }
    }

    /// The bytes that the guest may write at once, in view of what waits for slow readers already.
    pub(super) fn chunk(&mut self) -> usize {
        let Some(unsent) = &self.unsent else {
            return unsent::chunk();
        };
        let (bytes, granted) = unsent.grant();
        self.granted = Some(granted);
        bytes
    }
}
