//! Requests made by a test.

use serde::Serialize;

use crate::{Method, Request, host::Incoming};

/// Requests made by a test; natively only.
impl Request {
    /// A GET request for a path, with a query if it has one.
    pub fn get(target: impl Into<String>) -> Self {
        Request::with_method(Method::Get, target)
    }

    /// A HEAD request.
    pub fn head(target: impl Into<String>) -> Self {
        Request::with_method(Method::Head, target)
    }

    /// A POST request.
    pub fn post(target: impl Into<String>) -> Self {
        Request::with_method(Method::Post, target)
    }

    /// A PUT request.
    pub fn put(target: impl Into<String>) -> Self {
        Request::with_method(Method::Put, target)
    }

    /// A PATCH request.
    pub fn patch(target: impl Into<String>) -> Self {
        Request::with_method(Method::Patch, target)
    }

    /// A DELETE request.
    pub fn delete(target: impl Into<String>) -> Self {
        Request::with_method(Method::Delete, target)
    }

    /// A request of any method.
    pub fn with_method(method: Method, target: impl Into<String>) -> Self {
        Request::new(method, target.into(), Incoming::default())
    }

    /// The same with a header more; `host` is the authority too.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        let incoming = self.incoming_mut();
        if name.eq_ignore_ascii_case("host") {
            incoming.authority = Some(value.to_owned());
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
