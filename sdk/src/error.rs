//! What a handler fails with, and the problem document the client sees.

use std::{borrow::Cow, error::Error as StdError, fmt};

use serde::Serialize;

use crate::{Response, client, response::json_text};

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
pub struct Error {
    status: u16,
    kind: Cow<'static, str>,
    title: Option<Cow<'static, str>>,
    detail: Option<Cow<'static, str>>,
    /// Further members: name, and value as JSON text.
    members: Vec<(Cow<'static, str>, String)>,
    headers: Vec<(&'static str, String)>,
    /// What only the log may know.
    source: Option<Box<dyn StdError>>,
}

impl Error {
    /// A problem with a status and a detail for the client.
    pub fn new(status: u16, detail: impl Into<Cow<'static, str>>) -> Self {
        Error {
            detail: Some(detail.into()),
            ..Error::bare(status)
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
        Error {
            source: Some(message.into().into()),
            ..Error::bare(500)
        }
    }

    /// The problem's `type`, a URI reference; `about:blank` when not set.
    pub fn with_type(mut self, uri: impl Into<Cow<'static, str>>) -> Self {
        self.kind = uri.into();
        self
    }

    /// The problem's `title`; the status' name when not set.
    pub fn with_title(mut self, title: impl Into<Cow<'static, str>>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// A further member of the problem document.
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Serialize) -> Self {
        // A value that cannot be written as JSON is the program's mistake; the problem goes out without.
        match serde_json::to_string(&value) {
            Ok(value) => self.members.push((name.into(), value)),
            Err(error) => crate::log(&format!("problem member left out: {error}")),
        }
        self
    }

    /// A header of the answer, for example `retry-after`.
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// What lies behind, for the log only.
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The status of the answer.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// What lies behind, if anything: the error `?` was used on.
    pub fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref()
    }

    /// Logs what the client may not know, and writes the problem document.
    pub(crate) fn into_response(self) -> Response {
        if self.source.is_some() {
            crate::log(&self.to_string());
        }
        let mut response = Response::new(self.status)
            .with_header("content-type", "application/problem+json")
            .with_body(self.document());
        for (name, value) in self.headers {
            response = response.with_header(name, value);
        }
        response
    }

    fn bare(status: u16) -> Self {
        Error {
            status,
            kind: Cow::Borrowed("about:blank"),
            title: None,
            detail: None,
            members: Vec::new(),
            headers: Vec::new(),
            source: None,
        }
    }

    fn title(&self) -> &str {
        self.title.as_deref().unwrap_or_else(|| reason(self.status))
    }

    fn document(&self) -> String {
        let mut text = String::from("{\"type\":");
        text.push_str(&json_text(&self.kind));
        text.push_str(",\"title\":");
        text.push_str(&json_text(self.title()));
        text.push_str(",\"status\":");
        text.push_str(&self.status.to_string());
        if let Some(detail) = &self.detail {
            text.push_str(",\"detail\":");
            text.push_str(&json_text(detail));
        }
        for (name, value) in &self.members {
            text.push(',');
            text.push_str(&json_text(name));
            text.push(':');
            text.push_str(value);
        }
        text.push('}');
        text
    }
}

/// The whole story, for the log: never sent to a client.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.title())?;
        if let Some(detail) = &self.detail {
            write!(f, ": {detail}")?;
        }
        let mut source = self.source.as_deref();
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
        // A failed call outward is the other side's fault, and says so: 502 or 504.
        let status = match (&error as &dyn StdError).downcast_ref::<client::Error>() {
            Some(error) => error.gateway_status(),
            None => 500,
        };
        Error {
            source: Some(Box::new(error)),
            ..Error::bare(status)
        }
    }
}

/// The status' name (RFC 9110, section 15).
fn reason(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Error",
    }
}
