//! Requests made by a test.

use http::{HeaderName, HeaderValue, header::HOST};
use serde::Serialize;

use crate::{Method, Request, host::Incoming, written};

/// Requests made by a test; natively only.
impl Request {
    /// A GET request for a path, with a query if it has one.
    pub fn get(target: impl Into<String>) -> Self {
        Request::with_method(Method::GET, target)
    }

    /// A HEAD request.
    pub fn head(target: impl Into<String>) -> Self {
        Request::with_method(Method::HEAD, target)
    }

    /// A POST request.
    pub fn post(target: impl Into<String>) -> Self {
        Request::with_method(Method::POST, target)
    }

    /// A PUT request.
    pub fn put(target: impl Into<String>) -> Self {
        Request::with_method(Method::PUT, target)
    }

    /// A PATCH request.
    pub fn patch(target: impl Into<String>) -> Self {
        Request::with_method(Method::PATCH, target)
    }

    /// A DELETE request.
    pub fn delete(target: impl Into<String>) -> Self {
        Request::with_method(Method::DELETE, target)
    }

    /// A request of any method.
    pub fn with_method(method: Method, target: impl Into<String>) -> Self {
        Request::new(method, target.into(), Incoming::default())
    }

    /// The same with a header more; `host` is the authority too.
    ///
    /// # Panics
    /// When it is no header that HTTP can carry.
    pub fn with_header(mut self, name: impl TryInto<HeaderName>, value: impl TryInto<HeaderValue>) -> Self {
        let (name, value) = written::field(name, value).unwrap_or_else(|mistake| super::fail(&mistake));
        let incoming = self.incoming_mut();
        if name == HOST {
            incoming.authority = value.to_str().ok().map(str::to_owned);
        }
        incoming.headers.append(name, value);
        self
    }

    /// The same with another piece of body; given several times it arrives in as many pieces.
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.incoming_mut().body.chunks.push_back(body.into());
        self
    }

    /// The same with a value as JSON.
    ///
    /// # Panics
    /// When the value cannot be written as JSON.
    pub fn with_json(self, value: &impl Serialize) -> Self {
        let body = serde_json::to_vec(value).unwrap_or_else(|error| super::fail(&error.to_string()));
        self.with_header("content-type", "application/json")
            .with_body(body)
    }
}
