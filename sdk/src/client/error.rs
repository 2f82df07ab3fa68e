//! Failures of calls outward.

use http::StatusCode;

use crate::BodyError;

/// A reason why a call outward gave no usable answer.
///
/// Returned from a handler with `?` it is answered with 504 for [`Error::Timeout`] and 502
/// otherwise, and its message goes to the log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL cannot be called.
    #[error("`{url}` cannot be called: {reason}")]
    InvalidUrl {
        /// The URL as given.
        url: String,
        /// The fault of it.
        reason: &'static str,
    },
    /// The method, a header or the URL is not HTTP.
    #[error("the request is not HTTP: {0}")]
    InvalidRequest(String),
    /// The host refuses: the package's `outbound` list does not name the destination.
    #[error("the host refuses the call: the package's `outbound` does not allow the destination")]
    Denied,
    /// No connection: the name, the address or TLS. The request was not sent and may be repeated.
    #[error("no connection: {0}")]
    Connect(String),
    /// One of the time-outs passed; the request may or may not have had its effect.
    #[error("the call took too long")]
    Timeout,
    /// A body failed on the way.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// A value cannot be written as JSON, or the answer is not the JSON it should be.
    #[error("JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The answer is not UTF-8 text.
    #[error("the answer is not UTF-8 text")]
    NotText,
    /// The answer's status is 400 or above, from [`Response::error_for_status`].
    ///
    /// [`Response::error_for_status`]: super::Response::error_for_status
    #[error("the answer is {status}")]
    Status {
        /// The status.
        status: StatusCode,
    },
    /// Anything else, in the host's words.
    #[error("the call failed: {0}")]
    Other(String),
}

impl Error {
    /// The status for a client whose request needed the call.
    pub(crate) fn gateway_status(&self) -> StatusCode {
        match self {
            Error::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Error::InvalidUrl { .. } | Error::InvalidRequest(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Error::Denied
            | Error::Connect(_)
            | Error::Body(_)
            | Error::Json(_)
            | Error::NotText
            | Error::Status { .. }
            | Error::Other(_) => StatusCode::BAD_GATEWAY,
        }
    }
}
