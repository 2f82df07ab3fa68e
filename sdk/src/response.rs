//! Responses of a handler.

use std::{borrow::Cow, fmt};

use serde::Serialize;

use crate::{BodyWriter, Error, EventWriter, Headers, stream::Payload};

/// An answer: status, headers and a body, whole or streaming.
///
/// A whole body goes out with `content-length` and in one piece.
///
/// ```
/// use wasmgate_sdk::{Request, Response, Router, testing};
///
/// let app = Router::new()
///     .post("/orders", |_| Response::json(&["latte"]).with_status(201).with_header("location", "/orders/7"))
///     .delete("/orders/{id}", |_| Response::new(204));
/// let reply = testing::call(&app, Request::post("/orders"));
/// assert_eq!(reply.status(), 201);
/// assert_eq!(reply.header("content-type"), Some("application/json"));
/// assert_eq!(reply.header("content-length"), Some("9"));
/// ```
pub struct Response {
    status: u16,
    headers: Headers,
    pub(crate) payload: Payload,
}

impl Response {
    /// A status and nothing else.
    pub const fn new(status: u16) -> Self {
        Response {
            status,
            headers: Headers::new(),
            payload: Payload::Full(Cow::Borrowed(&[])),
        }
    }

    /// 200 with plain text in UTF-8.
    pub fn text(text: impl Into<Cow<'static, str>>) -> Self {
        let bytes = match text.into() {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        Response::from_bytes("text/plain; charset=utf-8", bytes)
    }

    /// 200 with HTML in UTF-8.
    pub fn html(text: impl Into<Cow<'static, str>>) -> Self {
        Response::text(text).with_header("content-type", "text/html; charset=utf-8")
    }

    /// 200 with a value as JSON; 500, with the reason on stderr, when it cannot be written as such.
    pub fn json(value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(bytes) => Response::from_bytes("application/json", Cow::Owned(bytes)),
            Err(error) => Error::from(error).into_response(),
        }
    }

    /// 200 with bytes, as `application/octet-stream` until told otherwise.
    pub fn bytes(bytes: impl Into<Cow<'static, [u8]>>) -> Self {
        Response::from_bytes("application/octet-stream", bytes.into())
    }

    /// A redirect: 303 to a page made by a POST, 307 or 308 to the same request elsewhere.
    pub fn redirect(status: u16, location: &str) -> Self {
        Response::new(status).with_header("location", location)
    }

    /// 200 with a body written piece by piece after the head is sent; see [`BodyWriter`].
    pub fn stream<F, Fut>(produce: F) -> Self
    where
        F: FnOnce(BodyWriter) -> Fut + 'static,
        Fut: Future<Output = Result<(), Error>> + 'static,
    {
        Response {
            payload: Payload::stream(produce),
            ..Response::new(200)
        }
    }

    /// 200 with server-sent events, each sent at once; the stream ends when the producer returns.
    ///
    /// ```
    /// use wasmgate_sdk::{Event, Request, Response, Router, testing};
    ///
    /// let app = Router::new().get("/events", |_| {
    ///     Response::events(|mut events| async move {
    ///         events.send(Event::data("placed")).await?;
    ///         events.send(Event::data("fulfilled")).await?;
    ///         Ok(())
    ///     })
    /// });
    /// let reply = testing::call(&app, Request::get("/events"));
    /// assert_eq!(reply.text(), "data: placed\n\ndata: fulfilled\n\n");
    /// ```
    pub fn events<F, Fut>(produce: F) -> Self
    where
        F: FnOnce(EventWriter) -> Fut + 'static,
        Fut: Future<Output = Result<(), Error>> + 'static,
    {
        Response::stream(|body| produce(EventWriter::new(body)))
            .with_header("content-type", "text/event-stream")
            .with_header("cache-control", "no-cache")
    }

    /// The same with another status, between 100 and 999.
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// The same with a header, in place of any value it had.
    pub fn with_header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// The same with another body, whose content type is for the caller to say.
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.payload = Payload::Full(Cow::Owned(body.into()));
        self
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The headers; `content-length` is added when the answer is sent.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The headers, to change.
    pub fn headers_mut(&mut self) -> &mut Headers {
        &mut self.headers
    }

    /// The parts to send: a HEAD request gets the headers of its GET and no body.
    pub(crate) fn into_parts(mut self, to_head: bool) -> (u16, Headers, Payload) {
        let bodiless = matches!(self.status, 100..=199 | 204 | 304);
        if let (Payload::Full(bytes), false) = (&self.payload, bodiless) {
            self.headers
                .insert("content-length", bytes.len().to_string());
        }
        if bodiless || to_head {
            self.payload = Payload::Full(Cow::Borrowed(&[]));
        }
        (self.status, self.headers, self.payload)
    }

    fn from_bytes(content_type: &str, bytes: Cow<'static, [u8]>) -> Self {
        // Two fields are all most answers have: this one and content-length.
        let mut headers = Headers(Vec::with_capacity(2));
        headers.append("content-type", content_type);
        Response {
            status: 200,
            headers,
            payload: Payload::Full(bytes),
        }
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

/// A value that a handler may return.
pub trait IntoResponse {
    /// The answer.
    fn into_response(self) -> Response;
}

impl IntoResponse for Response {
    fn into_response(self) -> Response {
        self
    }
}

impl IntoResponse for &'static str {
    fn into_response(self) -> Response {
        Response::text(self)
    }
}

impl IntoResponse for String {
    fn into_response(self) -> Response {
        Response::text(self)
    }
}

/// Nothing to say: 204.
impl IntoResponse for () {
    fn into_response(self) -> Response {
        Response::new(204)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Error::into_response(self)
    }
}

impl<T: IntoResponse, E: Into<Error>> IntoResponse for Result<T, E> {
    fn into_response(self) -> Response {
        match self {
            Ok(answer) => answer.into_response(),
            Err(error) => Error::into_response(error.into()),
        }
    }
}

/// Text as a JSON string.
pub(crate) fn json_text(text: &str) -> String {
    // Text can always be written as JSON.
    serde_json::to_string(text).unwrap_or_default()
}
