//! A handler's error, and the problem document the client sees.

mod problem;

use std::{borrow::Cow, error::Error as StdError, fmt};

use serde::Serialize;

use self::problem::Problem;
use crate::{Response, client, dapr};

/// A handler's failure: the problem document (RFC 9457) the client gets.
///
/// Any [`std::error::Error`] becomes one with `?`: it is answered with 500 and no detail, and its
/// message goes to stderr, which is the gateway's log. What the client may know is said with the
/// constructors here.
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
pub struct Error(Box<Problem>);

impl Error {
    /// A problem with a status and a detail for the client.
    pub fn new(status: u16, detail: impl Into<Cow<'static, str>>) -> Self {
        Error::from_problem(Problem {
            detail: Some(detail.into()),
            ..Problem::new(status)
        })
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
        Error::from_problem(Problem {
            source: Some(message.into().into()),
            ..Problem::new(500)
        })
    }

    /// The problem's `type`, a URI reference; `about:blank` when not set.
    pub fn with_type(mut self, uri: impl Into<Cow<'static, str>>) -> Self {
        self.0.kind = uri.into();
        self
    }

    /// The problem's `title`; the status' name when not set.
    pub fn with_title(mut self, title: impl Into<Cow<'static, str>>) -> Self {
        self.0.title = Some(title.into());
        self
    }

    /// A further member of the problem document.
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Serialize) -> Self {
        // A value that cannot be written as JSON is the program's mistake; the problem goes out without.
        match serde_json::to_string(&value) {
            Ok(value) => self.0.members.push((name.into(), value)),
            Err(error) => crate::log(&format!("problem member left out: {error}")),
        }
        self
    }

    /// A header of the answer, for example `retry-after`.
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.0.headers.push((name, value.into()));
        self
    }

    /// Sets the cause, for the log only.
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The status of the answer.
    pub fn status(&self) -> u16 {
        self.0.status
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
        let mut response = Response::new(self.0.status)
            .with_header("content-type", "application/problem+json")
            .with_body(self.0.document());
        for (name, value) in self.0.headers {
            response = response.with_header(name, value);
        }
        response
    }

    fn from_problem(problem: Problem) -> Self {
        Error(Box::new(problem))
    }
}

/// The whole story, for the log: never sent to a client.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0.status, self.0.title())?;
        if let Some(detail) = &self.0.detail {
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
        // A failed call outward is most often the other side's fault, and says so: 502 or 504.
        let any = &error as &dyn StdError;
        let client = any.downcast_ref().map(client::Error::gateway_status);
        let dapr = || any.downcast_ref().map(dapr::Error::gateway_status);
        let status = client.or_else(dapr).unwrap_or(500);
        Error::from_problem(Problem {
            source: Some(Box::new(error)),
            ..Problem::new(status)
        })
    }
}
