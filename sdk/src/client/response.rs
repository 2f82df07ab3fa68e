//! The answer to a call outward.

use http::StatusCode;
use serde::de::DeserializeOwned;

use super::Error;
use crate::{Body, DEFAULT_BODY_LIMIT, HeaderMap, written};

/// The head of an answer, and its body as it arrives.
#[derive(Debug)]
pub struct Response {
    status: StatusCode,
    headers: HeaderMap,
    body: Body,
    body_limit: usize,
}

impl Response {
    pub(crate) fn new(status: StatusCode, headers: HeaderMap, body: Body) -> Self {
        Response {
            status,
            headers,
            body,
            body_limit: DEFAULT_BODY_LIMIT,
        }
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns whether the status is 200 to 299.
    pub fn is_success(&self) -> bool {
        self.status.is_success()
    }

    /// [`Error::Status`] when the status is 400 or above.
    pub fn error_for_status(self) -> Result<Self, Error> {
        if self.status.as_u16() >= 400 {
            Err(Error::Status {
                status: self.status,
            })
        } else {
            Ok(self)
        }
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The first value of a header, if it is there and is UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        written::text(&self.headers, name)
    }

    /// Sets how long a body [`bytes`](Self::bytes), [`text`](Self::text) and [`json`](Self::json)
    /// accept, in bytes, in place of [`DEFAULT_BODY_LIMIT`].
    pub fn limit_body(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// The whole body.
    pub async fn bytes(mut self) -> Result<Vec<u8>, Error> {
        Ok(self.body.bytes(self.body_limit).await?)
    }

    /// The whole body as text.
    pub async fn text(self) -> Result<String, Error> {
        String::from_utf8(self.bytes().await?).map_err(|_| Error::NotText)
    }

    /// The whole body as JSON.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T, Error> {
        Ok(serde_json::from_slice(&self.bytes().await?)?)
    }

    /// The body, to read in pieces.
    pub fn into_body(self) -> Body {
        self.body
    }
}
