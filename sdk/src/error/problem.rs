//! The problem document (RFC 9457) an error becomes.

use std::borrow::Cow;

use http::StatusCode;

use crate::{fields::Fields, response::json_text};

/// What the client gets of an error.
#[derive(Clone)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    /// The member `type`.
    pub(super) kind: Cow<'static, str>,
    pub(super) title: Option<Cow<'static, str>>,
    pub(super) detail: Option<Cow<'static, str>>,
    /// Further members: name, and value as JSON text.
    pub(super) members: Vec<(Cow<'static, str>, String)>,
    pub(super) headers: Fields,
}

impl Problem {
    pub(super) fn new(status: StatusCode) -> Self {
        Problem {
            status,
            kind: Cow::Borrowed("about:blank"),
            title: None,
            detail: None,
            members: Vec::new(),
            headers: Fields::new(),
        }
    }

    pub(super) fn title(&self) -> &str {
        let reason = || reason(self.status.as_u16());
        self.title.as_deref().unwrap_or_else(reason)
    }

    pub(super) fn document(&self) -> String {
        let mut text = String::from("{\"type\":");
        text.push_str(&json_text(&self.kind));
        text.push_str(",\"title\":");
        text.push_str(&json_text(self.title()));
        text.push_str(",\"status\":");
        text.push_str(&self.status.as_u16().to_string());
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
        416 => "Range Not Satisfiable",
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
