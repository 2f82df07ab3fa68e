//! A handler's error, and the problem document the client sees.

mod opaque;
mod problem;

use std::{borrow::Cow, error::Error as StdError, fmt};

use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

pub use self::opaque::OpaqueError;
use self::problem::Problem;
use crate::{Response, client, written};

/// A handler's failure: the problem document (RFC 9457) the client gets.
///
/// Any [`std::error::Error`] becomes one with `?`: it is answered with 500 and no detail, and its
/// message goes to stderr, which is the gateway's log. What the client may know is said with the
/// constructors here.
///
/// Handlers may also return `anyhow::Result` and `Result<_, Box<dyn Error>>` as they are: what becomes of an error in
/// them is the same, and an `Error` keeps its answer on the way through.
///
/// ```
/// use wasmgate_sdk::{Error, Request, Response};
///
/// async fn stock(request: Request) -> Result<Response, Error> {
///     let id = request.param("id").ok_or_else(|| Error::bad_request("which item?"))?;
///     let count: u32 = std::fs::read_to_string(format!("stock/{id}"))?.trim().parse()?; // 500
///     if count == 0 {
///         return Err(Error::new(409, "sold out").with("item", id));
///     }
///     Ok(Response::json(&count))
/// }
/// # let _ = stock;
/// ```
pub struct Error(Box<Inner>);

/// An error's contents, apart so that a `Result` that fails seldom stays small.
struct Inner {
    problem: Problem,
    /// The cause, which only the log may know.
    source: Option<Box<dyn StdError>>,
}

impl Error {
    /// A problem with a status, of `http` or as a number, and a detail for the client.
    pub fn new(status: impl TryInto<StatusCode>, detail: impl Into<Cow<'static, str>>) -> Self {
        match written::status(status) {
            Ok(status) => Error::from_problem(Problem {
                detail: Some(detail.into()),
                ..Problem::new(status)
            }),
            Err(mistake) => Error::internal(mistake),
        }
    }

    /// 400: the request is wrong, and the detail says where.
    pub fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Error::new(400, detail)
    }

    /// 404: there is no such thing.
    pub fn not_found(detail: impl Into<Cow<'static, str>>) -> Self {
        Error::new(404, detail)
    }

    /// 409: the thing's state does not allow it.
    pub fn conflict(detail: impl Into<Cow<'static, str>>) -> Self {
        Error::new(409, detail)
    }

    /// 500 for the client, the message for the log only.
    pub fn internal(message: impl Into<String>) -> Self {
        Error::from_source(StatusCode::INTERNAL_SERVER_ERROR, message.into().into())
    }

    /// The problem's `type`, a URI reference; `about:blank` when not set.
    pub fn with_type(mut self, uri: impl Into<Cow<'static, str>>) -> Self {
        self.0.problem.kind = uri.into();
        self
    }

    /// The problem's `title`; the status' name when not set.
    pub fn with_title(mut self, title: impl Into<Cow<'static, str>>) -> Self {
        self.0.problem.title = Some(title.into());
        self
    }

    /// A further member of the problem document.
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Serialize) -> Self {
        // A value that cannot be written as JSON is the program's mistake; the problem goes out without.
        match serde_json::to_string(&value) {
            Ok(value) => self.0.problem.members.push((name.into(), value)),
            Err(error) => crate::log(&format!("problem member left out: {error}")),
        }
        self
    }

    /// A header of the answer, for example `retry-after`; one that HTTP cannot carry is left out, and the log says so.
    pub fn with_header(mut self, name: impl TryInto<HeaderName>, value: impl TryInto<HeaderValue>) -> Self {
        match written::field(name, value) {
            Ok((name, value)) => {
                self.0.problem.headers.map_mut().insert(name, value);
            }
            Err(mistake) => crate::log(&format!("a problem's header is left out: {mistake}")),
        }
        self
    }

    /// A header of the SDK's own.
    pub(crate) fn with_field(mut self, name: &'static str, value: String) -> Self {
        self.0.problem.headers.insert(name, value);
        self
    }

    /// Sets the cause, for the log only.
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.0.problem.status
    }

    /// The cause, if there is one: the error `?` was used on.
    pub fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref()
    }

    /// Logs what the client may not know, and writes the problem document.
    pub(crate) fn into_response(self) -> Response {
        if self.0.source.is_some() {
            crate::log(&self.to_string());
        }
        let Problem {
            status, headers, ..
        } = &self.0.problem;
        let document = self.0.problem.document();
        let response = Response::new(*status).with_fields(headers.clone());
        let mut response = response.with_body(document);
        response.set("content-type", "application/problem+json");
        response
    }

    fn from_problem(problem: Problem) -> Self {
        let source = None;
        Error(Box::new(Inner { problem, source }))
    }

    fn from_source(status: StatusCode, source: Box<dyn StdError>) -> Self {
        let problem = Problem::new(status);
        let source = Some(source);
        let error = Error(Box::new(Inner { problem, source }));
        match status {
            // What a call needed is away, and is soon back: RFC 9110, 15.6.4.
            StatusCode::SERVICE_UNAVAILABLE => error.with_field("retry-after", "1".to_owned()),
            _ => error,
        }
    }
}

/// The whole story, for the log: never sent to a client.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problem = &self.0.problem;
        write!(f, "{} {}", problem.status.as_u16(), problem.title())?;
        if let Some(detail) = &problem.detail {
            write!(f, ": {detail}")?;
        }
        let mut source = self.0.source.as_deref();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<E: StdError + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        let status = gateway_status(&error).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Error::from_source(status, Box::new(error))
    }
}

/// A failed call outward is most often the other side's fault, and says so: 502 or 504.
fn gateway_status(error: &(dyn StdError + 'static)) -> Option<StatusCode> {
    let client = error.downcast_ref().map(client::Error::gateway_status);
    #[cfg(feature = "dapr")]
    let client = client.or_else(|| error.downcast_ref().map(crate::dapr::Error::gateway_status));
    client
}
