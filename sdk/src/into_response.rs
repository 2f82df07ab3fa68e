//! What a handler may return.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::LOCATION};
use serde::Serialize;

use crate::{Error, Response, written};

/// A value that a handler may return.
///
/// | value | answer |
/// |---|---|
/// | `&'static str`, `String`, `Cow<'static, str>` | 200 with text |
/// | [`Html`] | 200 with HTML |
/// | [`Json`] of anything that serde can write | 200 with JSON |
/// | `Vec<u8>`, `&'static [u8]`, [`Bytes`] | 200 with bytes |
/// | `()` | 204 |
/// | [`StatusCode`] | that status and nothing else |
/// | [`Redirect`] | 303, 307 or 308 with `location` |
/// | `(StatusCode, value)` | the value's answer with that status |
/// | `(headers, value)`, `(StatusCode, headers, value)` | the same with headers: see [`IntoHeaders`] |
/// | `Option<value>` | 404 for `None` |
/// | `Result<value, error>` | the error's answer for `Err`: see [`Error`] |
/// | [`Response`] | itself |
///
/// ```
/// use wasmgate_sdk::{Json, Request, Router, StatusCode, testing};
///
/// let app = Router::new()
///     .post("/orders", |_| (StatusCode::CREATED, [("location", "/orders/7")], Json(["latte"])))
///     .get("/drinks/{name}", |request| match request.param("name").as_deref() {
///         Some("latte") => Some("milk and coffee"),
///         _ => None,
///     });
/// let created = testing::call(&app, Request::post("/orders"));
/// assert_eq!((created.status(), created.header("location")), (StatusCode::CREATED, Some("/orders/7")));
/// assert_eq!(testing::call(&app, Request::get("/drinks/tea")).status(), 404);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no answer",
    label = "a handler cannot return this",
    note = "return text, bytes, `Json(value)`, `Html(text)`, a `StatusCode`, a `Redirect` or a `Response`",
    note = "or a tuple of a `StatusCode`, headers and one of those, or an `Option` or `Result` of one"
)]
pub trait IntoResponse {
    /// The answer.
    fn into_response(self) -> Response;
}

/// Headers beside the answer in a tuple: a [`HeaderMap`], whose values replace those of the same name, or an array of
/// names and values such as `[("etag", "\"1\"")]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` are no headers",
    label = "neither a status nor headers",
    note = "write a `HeaderMap`, or an array such as `[(\"x-name\", \"value\")]`"
)]
pub trait IntoHeaders {
    /// Adds them to an answer.
    fn add_to(self, response: &mut Response);
}

/// 200 with a value as JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json<T>(pub T);

/// 200 with HTML in UTF-8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Html<T>(pub T);

/// An answer that sends the client elsewhere.
///
/// ```
/// use wasmgate_sdk::{Redirect, Request, Router, testing};
///
/// let app = Router::new().post("/orders", |_| Redirect::to("/orders/7"));
/// let reply = testing::call(&app, Request::post("/orders"));
/// assert_eq!((reply.status().as_u16(), reply.header("location")), (303, Some("/orders/7")));
/// ```
#[derive(Clone, Debug)]
pub struct Redirect {
    status: StatusCode,
    location: String,
}

impl Redirect {
    /// 303: a page to get next, after a POST for example.
    pub fn to(location: impl Into<String>) -> Self {
        Redirect::with(StatusCode::SEE_OTHER, location.into())
    }

    /// 307: the same request elsewhere, for now.
    pub fn temporary(location: impl Into<String>) -> Self {
        Redirect::with(StatusCode::TEMPORARY_REDIRECT, location.into())
    }

    /// 308: the same request elsewhere, for ever.
    pub fn permanent(location: impl Into<String>) -> Self {
        Redirect::with(StatusCode::PERMANENT_REDIRECT, location.into())
    }

    fn with(status: StatusCode, location: String) -> Self {
        Redirect { status, location }
    }
}

impl IntoResponse for Redirect {
    fn into_response(self) -> Response {
        Response::new(self.status).with_header(LOCATION, self.location)
    }
}

impl IntoResponse for Response {
    fn into_response(self) -> Response {
        self
    }
}

macro_rules! as_it_is {
    ($($constructor:ident: $($type:ty),*;)*) => { $($(impl IntoResponse for $type {
        fn into_response(self) -> Response {
            Response::$constructor(self)
        }
    })*)* };
}

as_it_is! {
    text: &'static str, String, Cow<'static, str>;
    bytes: &'static [u8], Vec<u8>, Cow<'static, [u8]>;
    new: StatusCode;
}

impl<const N: usize> IntoResponse for &'static [u8; N] {
    fn into_response(self) -> Response {
        Response::bytes(self.as_slice())
    }
}

impl IntoResponse for Bytes {
    fn into_response(self) -> Response {
        Response::bytes(Vec::from(self))
    }
}

/// Nothing to say: 204.
impl IntoResponse for () {
    fn into_response(self) -> Response {
        Response::new(StatusCode::NO_CONTENT)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        Response::json(&self.0)
    }
}

impl<T: Into<Cow<'static, str>>> IntoResponse for Html<T> {
    fn into_response(self) -> Response {
        Response::html(self.0)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Error::into_response(self)
    }
}

/// There is no such thing: 404.
impl<T: IntoResponse> IntoResponse for Option<T> {
    fn into_response(self) -> Response {
        match self {
            Some(answer) => answer.into_response(),
            None => Error::not_found("there is no such thing").into_response(),
        }
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

impl<T: IntoResponse> IntoResponse for (StatusCode, T) {
    fn into_response(self) -> Response {
        self.1.into_response().with_status(self.0)
    }
}

impl<H: IntoHeaders, T: IntoResponse> IntoResponse for (H, T) {
    fn into_response(self) -> Response {
        let mut response = self.1.into_response();
        self.0.add_to(&mut response);
        response
    }
}

impl<H: IntoHeaders, T: IntoResponse> IntoResponse for (StatusCode, H, T) {
    fn into_response(self) -> Response {
        (self.1, self.2).into_response().with_status(self.0)
    }
}

impl IntoHeaders for HeaderMap {
    fn add_to(self, response: &mut Response) {
        // `extend` replaces a name's values, and keeps several of one name.
        response.headers_mut().extend(self);
    }
}

impl<N, V, const COUNT: usize> IntoHeaders for [(N, V); COUNT]
where
    N: TryInto<HeaderName>,
    V: TryInto<HeaderValue>,
{
    fn add_to(self, response: &mut Response) {
        for (name, value) in self {
            match written::field(name, value) {
                Ok((name, value)) => {
                    response.headers_mut().insert(name, value);
                }
                Err(mistake) => response.fail(mistake),
            }
        }
    }
}
