//! The response of a guest: its head, and what the host tracks about its body.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Request, Response, response::Parts};
use wasmtime_wasi_http::{WasiBody, p2::bindings::http::types::ErrorCode};

use super::handed::Handed;
use crate::{
    request_headers::keep_trailers,
    unsent::{self, Held, Unsent},
};

/// The maximum size of a response's header fields, names and values (most proxies and clients take 8 to 64 KiB).
pub(super) const RESPONSE_HEAD: usize = 64 * 1024;

/// Validates the head of a guest's response and normalizes its values.
///
/// # Errors
/// When it cannot be sent; the message is for the log.
pub(super) fn fit(head: &mut Parts) -> Result<(), String> {
    // 1xx is interim, and nothing above 599 is defined (RFC 9110, 15).
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

/// Removes fields from a guest's trailers that are allowed only in a head: a client might take them for a second head
/// and refuse the response.
pub(super) fn fit_trailers(trailers: &mut HeaderMap) {
    keep_trailers(trailers);
    trailers.values_mut().for_each(trim);
}

/// Trims white space around a value: it is not part of it (RFC 9110, 5.5), and strict HTTP/2 clients refuse a message
/// with it (RFC 9113, 8.2.1).
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

/// A guest's result: a response, or an error.
pub(super) type Head = Result<Response<WasiBody>, ErrorCode>;

/// The state of a guest's response.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// The request was HEAD.
    pub(super) is_head: bool,
    /// The handle of the body that a WASI 0.2 guest writes.
    pub(super) body: Option<u32>,
    /// The body that a WASI 0.3 guest has returned.
    pub(super) handed: Option<Handed>,
    /// The bytes buffered on an HTTP/2 connection.
    unsent: Option<Arc<Unsent>>,
    /// What the guest may write ahead is counted there until the response has ended.
    granted: Option<Held>,
}

impl Answer {
    /// For this request.
    pub(super) fn new<B>(request: &Request<B>) -> Self {
        Self {
            is_head: request.method() == Method::HEAD,
            body: None,
            handed: None,
            unsent: request.extensions().get().cloned(),
            granted: None,
        }
    }

    /// The number of bytes that the guest may write at once, given what is buffered for slow clients already.
    pub(super) fn chunk(&mut self) -> usize {
        let Some(unsent) = &self.unsent else {
            return unsent::chunk();
        };
        let (bytes, granted) = unsent.grant();
        self.granted = Some(granted);
        bytes
    }
}
