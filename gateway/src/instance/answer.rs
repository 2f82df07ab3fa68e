//! The answer of a guest: the head that may be sent on, and what the host notes of the body.

use std::sync::Arc;

use http::{Method, Request, Response, response::Parts};
use wasmtime_wasi_http::{WasiBody, p2::bindings::http::types::ErrorCode};

use super::handed::Handed;
use crate::unsent::{self, Held, Unsent};

/// The most bytes of the fields of a response's head, names and values: what proxies and clients take at most (most
/// take 8 to 64 KiB).
pub(super) const RESPONSE_HEAD: usize = 64 * 1024;

/// Refuses the head of a guest's response that cannot be sent on.
///
/// # Errors
/// With what is wrong, for the log.
pub(super) fn check(head: &Parts) -> Result<(), String> {
    // 1xx is no answer but an announcement of one, and nothing above 599 has a meaning (RFC 9110, 15).
    if !(200..600).contains(&head.status.as_u16()) {
        return Err(format!(
            "{} is no status of a response",
            head.status.as_u16()
        ));
    }
    let fields = head.headers.iter();
    let bytes: usize = fields
        .map(|(name, value)| name.as_str().len().saturating_add(value.len()))
        .sum();
    if bytes > RESPONSE_HEAD {
        return Err(format!(
            "the head of the response has {bytes} bytes; at most {RESPONSE_HEAD} can be sent"
        ));
    }
    Ok(())
}

/// What a guest answers: a response, or an error in its place.
pub(super) type Head = Result<Response<WasiBody>, ErrorCode>;

/// The guest's answer, as far as the host has seen.
#[derive(Debug)]
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
