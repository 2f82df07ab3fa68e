//! Errors that a caller sees.

use axum::body::Body;
use http::{
    HeaderValue, Response, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use serde::Serialize;
use wasmgate_common::{Problem, path::PathError};

/// A failure as Dapr's API answers it: `{"errorCode", "message"}`.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// The grant that was missing, if that is why.
    grant: Option<String>,
    /// The same call may succeed a moment later.
    retry: bool,
    /// Nothing has failed: the caller asked for more than it may have.
    refused: bool,
}

/// The value of `Retry-After`, in seconds: a sidecar starts about that fast.
const RETRY_AFTER_SECONDS: &str = "1";

/// Marks an answer of a failure's status by which nothing has failed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refused;

/// The kind of problem that a missing grant is.
const NOT_GRANTED: &str = "urn:wasmgate:problem:not-granted";

pub(crate) type ApiResult = Result<Response<Body>, ApiError>;

/// A failure as Dapr's SDKs read it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    error_code: &'a str,
    message: &'a str,
}

/// The members of a problem document about a missing grant, beside what Dapr's SDKs read.
#[derive(Serialize)]
struct NotGranted<'a> {
    detail: &'a str,
    grant: &'a str,
    #[serde(flatten)]
    error: Answer<'a>,
}

impl From<PathError> for ApiError {
    fn from(error: PathError) -> Self {
        Self::malformed(error.to_string())
    }
}

impl ApiError {
    pub(crate) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self {
            status,
            code,
            message: message.into(),
            grant: None,
            retry: false,
            refused: false,
        }
    }

    /// A body, path or parameter that cannot be understood.
    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self::new(400, "ERR_MALFORMED_REQUEST", message)
    }

    /// The caller lacks a grant; `grant` is the line that would give it.
    pub(crate) fn not_granted(code: &'static str, block: &str, name: &str) -> Self {
        let grant = match block {
            "jobs" => "jobs = true".to_owned(),
            _ => format!("{block} = [{name:?}]"),
        };
        let message = format!("this package has no grant for {block} {name:?}; add {grant} to it");
        Self {
            status: StatusCode::FORBIDDEN,
            code,
            message,
            grant: Some(grant),
            retry: false,
            refused: false,
        }
    }

    /// Tells the caller to try again.
    pub(crate) fn retry_after(self) -> Self {
        Self {
            retry: true,
            ..self
        }
    }

    /// Says that no part of the system has failed.
    pub(crate) fn refused(self) -> Self {
        Self {
            refused: true,
            ..self
        }
    }

    /// Returns whether something has failed, and not the caller asked for what it may not have.
    pub(crate) fn is_failure(&self) -> bool {
        self.status.is_server_error() && !self.refused
    }

    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn into_response(self) -> Response<Body> {
        let error = Answer {
            error_code: self.code,
            message: &self.message,
        };
        let mut response: Response<Body> = match &self.grant {
            Some(grant) => {
                let detail = &self.message;
                let members = NotGranted {
                    detail,
                    grant,
                    error,
                };
                Problem::with(NOT_GRANTED, self.status, "not granted", members).into_response()
            }
            None => {
                let body = serde_json::to_vec(&error).unwrap_or_default();
                let mut response = Response::new(Body::from(body));
                *response.status_mut() = self.status;
                let json = HeaderValue::from_static("application/json");
                response.headers_mut().insert(CONTENT_TYPE, json);
                response
            }
        };
        if self.retry {
            let after = HeaderValue::from_static(RETRY_AFTER_SECONDS);
            response.headers_mut().insert(RETRY_AFTER, after);
        }
        response
    }
}
