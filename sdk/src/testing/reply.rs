//! An answer as a client would have it.

use std::collections::VecDeque;

use http::StatusCode;
use serde::de::DeserializeOwned;

use crate::{HeaderMap, written};

/// A whole answer, from [`call`](super::call).
#[derive(Clone, Debug)]
pub struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    chunks: Vec<Vec<u8>>,
    trailers: HeaderMap,
}

impl Reply {
    pub(super) fn new(status: StatusCode, headers: HeaderMap, chunks: VecDeque<Vec<u8>>, trailers: HeaderMap) -> Self {
        let chunks = Vec::from(chunks);
        Reply {
            status,
            headers,
            body: chunks.concat(),
            chunks,
            trailers,
        }
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The first value of a header, if it is there and is UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        written::text(&self.headers, name)
    }

    /// The body.
    pub fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// The pieces the handler wrote the body in.
    pub fn chunks(&self) -> &[Vec<u8>] {
        &self.chunks
    }

    /// The body as text.
    ///
    /// # Panics
    /// When it is not UTF-8.
    pub fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap_or_else(|error| super::fail(&error.to_string()))
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is not JSON of this type.
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| super::fail(&format!("{error} in `{}`", self.text())))
    }

    /// The fields sent after the body.
    pub fn trailers(&self) -> &HeaderMap {
        &self.trailers
    }
}
