//! Limits of a connection: size and time of a request's head, and time of a write.

use std::time::Duration;

use http::Request;

use crate::config::Server as ServerConfig;

/// The overhead of a field in HTTP/1.1: a colon, a space and the line end. HTTP/2 has none, but is counted with it, so
/// that a head which fits in one version fits in the other.
const FIELD_BYTES: usize = ": \r\n".len();

/// The overhead of a field as HTTP/2 counts it (RFC 9113, 6.5.2).
const HTTP2_FIELD_BYTES: usize = 32;

/// The factor by which an HTTP/2 head may exceed the limit and is still read, so that its sender gets a problem
/// document. Beyond it the library sends a bare 431.
const HTTP2_EXCESS: usize = 4;

/// Limits of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// The time-out for a request's head.
    pub(super) time: Duration,
    /// The maximum size of the head.
    pub(super) bytes: usize,
    /// The maximum number of fields.
    pub(super) fields: usize,
    /// The time for which a write may make no progress.
    pub(super) write: Duration,
}

impl Limits {
    pub(super) fn from_config(config: &ServerConfig) -> Self {
        Self {
            time: config.header_timeout,
            bytes: config.request_head,
            fields: config.request_headers,
            write: config.write_timeout,
        }
    }

    /// The limit as HTTP/2 counts it.
    pub(super) fn http2_list(&self) -> u32 {
        let fields = self.fields.saturating_mul(HTTP2_FIELD_BYTES);
        let list = self.bytes.saturating_add(fields);
        u32::try_from(list.saturating_mul(HTTP2_EXCESS)).unwrap_or(u32::MAX)
    }

    /// Returns whether a head is within the limits; HTTP/1.1 heads are checked while they are read.
    pub(super) fn admit<B>(&self, request: &Request<B>) -> bool {
        let headers = request.headers();
        let target = request.uri().path_and_query();
        let fields: usize = headers
            .iter()
            .map(|(name, value)| name.as_str().len().saturating_add(value.len()))
            .sum();
        let bytes = fields
            .saturating_add(headers.len().saturating_mul(FIELD_BYTES))
            .saturating_add(target.map_or(0, |target| target.as_str().len()));
        headers.len() <= self.fields && bytes <= self.bytes
    }
}
