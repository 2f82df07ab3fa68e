//! Limits of a connection: size and time of a request's head, and time of a write.

use std::time::Duration;

use http::Request;

use crate::config::Server as ServerConfig;

/// The bytes that HTTP/1.1 writes around a field: a colon, a space and the end of the line. HTTP/2 has nothing of the
/// kind; a head that fits in one version fits in the other.
const FIELD_BYTES: usize = ": \r\n".len();

/// The bytes that HTTP/2 counts for a field beyond its own (RFC 9113, 6.5.2).
const HTTP2_FIELD_BYTES: usize = 32;

/// The factor by which an HTTP/2 head may exceed the limit and is read to its end, so that its sender gets a document.
/// One that is larger still, the library refuses with a bare 431.
const HTTP2_EXCESS: usize = 4;

/// Limits of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// The time that a client may take over a request's head.
    pub(super) time: Duration,
    /// The most bytes of it.
    pub(super) bytes: usize,
    /// The most fields of it.
    pub(super) fields: usize,
    /// The time for which what is sent may stand still.
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

    /// The limit as HTTP/2 counts.
    pub(super) fn http2_list(&self) -> u32 {
        let fields = self.fields.saturating_mul(HTTP2_FIELD_BYTES);
        let list = self.bytes.saturating_add(fields);
        u32::try_from(list.saturating_mul(HTTP2_EXCESS)).unwrap_or(u32::MAX)
    }

    /// Returns whether a head keeps to them; HTTP/1.1's is checked while it is read.
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
