//! Responses of a handler.

use std::{borrow::Cow, fmt};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

use crate::{BodyWriter, Error, EventWriter, fields::Fields, stream::Payload, written};

/// An answer: status, headers and a body, whole or streaming.
///
/// A whole body goes out with `content-length` and in one piece. A status that is none, or a header that HTTP cannot
/// carry, is answered with 500, and the log says why.
///
/// ```
/// use wasmgate_sdk::{Request, Response, Router, StatusCode, testing};
///
/// let app = Router::new()
///     .post("/orders", |_| Response::json(&["latte"]).with_status(201).with_header("location", "/orders/7"))
///     .delete("/orders/{id}", |_| Response::new(StatusCode::NO_CONTENT));
/// let reply = testing::call(&app, Request::post("/orders"));
/// assert_eq!(reply.status(), StatusCode::CREATED);
/// assert_eq!(reply.header("content-type"), Some("application/json"));
/// assert_eq!(reply.header("content-length"), Some("9"));
/// ```
pub struct Response {
    status: StatusCode,
    headers: Fields,
    pub(crate) payload: Payload,
    /// The first mistake in putting it together, told when it is sent.
    mistake: Option<String>,
}

/// What is sent of an answer.
pub(crate) type Parts = (StatusCode, Fields, Payload);

impl Response {
    /// A status, of `http` or as a number, and nothing else.
    pub fn new(status: impl TryInto<StatusCode>) -> Self {
        Response::with_payload(Payload::empty()).with_status(status)
    }

    /// 200 with plain text in UTF-8.
    pub fn text(text: impl Into<Cow<'static, str>>) -> Self {
        Response::of_text("text/plain; charset=utf-8", text.into())
    }

    /// 200 with HTML in UTF-8.
    pub fn html(text: impl Into<Cow<'static, str>>) -> Self {
        Response::of_text("text/html; charset=utf-8", text.into())
    }

    /// 200 with a value as JSON; 500, with the reason on stderr, when it cannot be written as such.
    pub fn json(value: &(impl Serialize + ?Sized)) -> Self {
        match serde_json::to_vec(value) {
            Ok(bytes) => Response::of("application/json", Cow::Owned(bytes)),
            Err(error) => Error::from(error).into_response(),
        }
    }

    /// 200 with bytes, as `application/octet-stream` until told otherwise.
    pub fn bytes(bytes: impl Into<Cow<'static, [u8]>>) -> Self {
        Response::of("application/octet-stream", bytes.into())
    }

    /// 200 with a body written piece by piece after the head is sent; see [`BodyWriter`].
    pub fn stream<F, Fut>(produce: F) -> Self
    where
        F: FnOnce(BodyWriter) -> Fut + 'static,
        Fut: Future<Output = Result<(), Error>> + 'static,
    {
        Response::with_payload(Payload::stream(produce))
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
        let mut response = Response::stream(|body| produce(EventWriter::new(body)));
        response.set("content-type", "text/event-stream");
        response.set("cache-control", "no-cache");
        response
    }

    /// The same with another status, of `http` or as a number between 100 and 999.
    pub fn with_status(mut self, status: impl TryInto<StatusCode>) -> Self {
        match written::status(status) {
            Ok(status) => self.status = status,
            Err(mistake) => self.fail(mistake),
        }
        self
    }

    /// The same with a header, in place of any value it had.
    pub fn with_header(mut self, name: impl TryInto<HeaderName>, value: impl TryInto<HeaderValue>) -> Self {
        match written::field(name, value) {
            Ok((name, value)) => {
                self.headers_mut().insert(name, value);
            }
            Err(mistake) => self.fail(mistake),
        }
        self
    }

    /// The same with one more value of a header, beside those it had: for `set-cookie`, for example.
    pub fn with_header_too(mut self, name: impl TryInto<HeaderName>, value: impl TryInto<HeaderValue>) -> Self {
        match written::field(name, value) {
            Ok((name, value)) => {
                self.headers_mut().append(name, value);
            }
            Err(mistake) => self.fail(mistake),
        }
        self
    }

    /// The same with another body, whose content type is for the caller to say.
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.payload = Payload::Full(Cow::Owned(body.into()));
        self
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The headers; `content-length` is added when the answer is sent.
    pub fn headers(&self) -> &HeaderMap {
        self.headers.map()
    }

    /// The first value of a header, if it is there and is UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        written::text(self.headers(), name)
    }

    /// The headers, to change.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers.map_mut()
    }

    /// The body, unless it is written piece by piece.
    pub fn whole_body(&self) -> Option<&[u8]> {
        match &self.payload {
            Payload::Full(bytes) => Some(bytes),
            Payload::Stream(_) => None,
        }
    }

    /// Sets a header of the SDK's own to one value.
    pub(crate) fn set(&mut self, name: &'static str, value: impl Into<Cow<'static, str>>) {
        self.headers.insert(name, value);
    }

    /// Has the answer be 500, for a reason that the log gets.
    pub(crate) fn fail(&mut self, mistake: String) {
        self.mistake.get_or_insert(mistake);
    }

    /// The parts to send: a HEAD request gets the headers of its GET and no body.
    pub(crate) fn into_parts(self, to_head: bool) -> Parts {
        match self.mistake {
            // A problem's own fields are always HTTP's.
            Some(mistake) => Error::internal(mistake)
                .into_response()
                .sound_parts(to_head),
            None => self.sound_parts(to_head),
        }
    }

    /// 200 with a whole body of a content type.
    pub(crate) fn of(content_type: &'static str, bytes: Cow<'static, [u8]>) -> Self {
        let mut response = Response::with_payload(Payload::Full(bytes));
        response.set("content-type", content_type);
        response
    }

    fn of_text(content_type: &'static str, text: Cow<'static, str>) -> Self {
        let bytes = match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        Response::of(content_type, bytes)
    }

    /// The same with all headers of another kind in place of its own.
    pub(crate) fn with_fields(mut self, fields: Fields) -> Self {
        self.headers = fields;
        self
    }

    fn with_payload(payload: Payload) -> Self {
        Response {
            status: StatusCode::OK,
            headers: Fields::new(),
            payload,
            mistake: None,
        }
    }

    fn sound_parts(mut self, to_head: bool) -> Parts {
        let bodiless = matches!(self.status.as_u16(), 100..=199 | 204 | 304);
        if let (Payload::Full(bytes), false) = (&self.payload, bodiless) {
            // Who answers HEAD without a body may have said how long it would be.
            let said = to_head && bytes.is_empty() && self.headers.contains("content-length");
            if !said {
                self.headers
                    .insert("content-length", bytes.len().to_string());
            }
        }
        if bodiless || to_head {
            self.payload = Payload::empty();
        }
        (self.status, self.headers, self.payload)
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("headers", self.headers())
            .finish_non_exhaustive()
    }
}

/// Text as a JSON string.
pub(crate) fn json_text(text: &str) -> String {
    // Text can always be written as JSON.
    serde_json::to_string(text).unwrap_or_default()
}
