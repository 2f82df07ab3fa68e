//! Failures of Dapr calls, and what to do about them.

use http::StatusCode;
use serde::Deserialize;

use super::{
    pubsub::FailedEntry,
    words::{self, Refusal},
};
use crate::client;

/// A failure of a Dapr call.
///
/// Returned from a handler with `?` it is answered with 409 for [`EtagMismatch`] and
/// [`AlreadyExists`], 503 for [`Unavailable`], 504 for [`Timeout`], 500 for mistakes of the package
/// ([`NotGranted`], [`NotFound`], [`Invalid`]) and 502 otherwise; the message goes to the log.
///
/// ```
/// use wasmgate_sdk::{Error, dapr};
///
/// async fn claim(table: &str, guest: &str) -> Result<bool, Error> {
///     match dapr::state("statestore").create(table, &guest).await {
///         Ok(()) => Ok(true),
///         Err(dapr::Error::EtagMismatch { .. }) => Ok(false), // somebody was first
///         Err(error) => Err(error.into()),
///     }
/// }
/// # let _dapr = wasmgate_sdk::testing::dapr();
/// # let claim = |guest| wasmgate_sdk::testing::block_on(claim("table 1", guest)).unwrap();
/// # assert_eq!((claim("Ada"), claim("Bob")), (true, false));
/// ```
///
/// [`EtagMismatch`]: Error::EtagMismatch
/// [`AlreadyExists`]: Error::AlreadyExists
/// [`Unavailable`]: Error::Unavailable
/// [`Timeout`]: Error::Timeout
/// [`NotGranted`]: Error::NotGranted
/// [`NotFound`]: Error::NotFound
/// [`Invalid`]: Error::Invalid
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The package may not do this: name it in the package's `dapr` table, or mend the token.
    #[error("not granted: {message}")]
    NotGranted {
        /// The missing grant or token, in Dapr's or the gateway's words.
        message: String,
    },
    /// There is no such component, app, secret, job or topic: correct the name, or add it. A
    /// missing state key is no error but `None`.
    #[error("not found: {message} ({code})")]
    NotFound {
        /// Dapr's error code, for example `ERR_STATE_STORE_NOT_FOUND`; empty if it gave none.
        code: String,
        /// Dapr's message.
        message: String,
    },
    /// Somebody else wrote first, or the ETag is none that the store ever gave: read again and decide anew, as
    /// [`Store::update`](super::state::Store::update) does.
    #[error("ETag mismatch: {message}")]
    EtagMismatch {
        /// Dapr's message.
        message: String,
    },
    /// A job of this name is scheduled already: leave it, or schedule with
    /// [`overwrite`](super::jobs::Job::overwrite).
    #[error("already there: {message}")]
    AlreadyExists {
        /// Dapr's message.
        message: String,
    },
    /// Dapr, or the app to call, cannot be reached now: try again later. In a delivery, fail with
    /// it and the delivery is retried.
    #[error("unavailable: {message}")]
    Unavailable {
        /// The missing thing.
        message: String,
    },
    /// It took too long, and may or may not have had its effect: try again if that is harmless.
    #[error("the call took too long")]
    Timeout,
    /// The app that was called answered with an error of its own.
    #[error("the app answered {status}: {body}")]
    App {
        /// The app's status, 400 or above.
        status: u16,
        /// The app's answer, as text.
        body: String,
    },
    /// Some entries of a bulk publish were not taken: publish those again.
    #[error("{} of the bulk's entries were not published", failed.len())]
    Bulk {
        /// The entries, by their place in the bulk.
        failed: Vec<FailedEntry>,
    },
    /// Any other refusal or failure that Dapr reports.
    #[error("Dapr answered {status}: {message} ({code})")]
    Api {
        /// Dapr's error code, for example `ERR_STATE_SAVE`; empty if it gave none.
        code: String,
        /// Dapr's message.
        message: String,
        /// The status.
        status: u16,
    },
    /// The call cannot be made: an empty name, for example.
    #[error("the call cannot be made: {0}")]
    Invalid(String),
    /// A value cannot be written as JSON, or what came is not of the type asked for.
    #[error("JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The call outward itself failed.
    #[error(transparent)]
    Call(client::Error),
}

/// The members that both Dapr's errors and problem documents (RFC 9457) have.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Report {
    #[serde(rename = "errorCode")]
    code: String,
    message: String,
    title: String,
    detail: String,
    #[serde(rename = "failedEntries")]
    failed: Vec<FailedEntry>,
}

/// The longest error that is read, in bytes: enough for any message, and for the failed entries
/// of a bulk; what an app answers beyond is of no use in an error.
const REPORT_BYTES: usize = 256 << 10;

impl Error {
    /// Returns whether the same call may succeed later: [`Unavailable`](Error::Unavailable) and
    /// [`Timeout`](Error::Timeout). An [`EtagMismatch`](Error::EtagMismatch) needs a new read.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Error::Unavailable { .. } | Error::Timeout)
    }

    /// Reads an answer of 400 or above.
    pub(super) async fn from_response(response: client::Response) -> Self {
        let status = response.status().as_u16();
        let body = match response.into_body().bytes(REPORT_BYTES).await {
            Ok(body) => body,
            Err(error) => return client::Error::from(error).into(),
        };
        Error::from_report(status, &body)
    }

    /// Reads the answer of a failed invocation: Dapr's errors have its code, the app's do not.
    pub(super) async fn from_invocation(response: client::Response) -> Self {
        let status = response.status().as_u16();
        let body = match response.into_body().bytes(REPORT_BYTES).await {
            Ok(body) => body,
            Err(error) => return client::Error::from(error).into(),
        };
        let code = serde_json::from_slice(&body).map(|report: Report| report.code);
        if code.is_ok_and(|code| code.starts_with("ERR_")) {
            return Error::from_report(status, &body);
        }
        let body = text(body);
        Error::App { status, body }
    }

    /// The status for a client whose request needed the call.
    pub(crate) fn gateway_status(&self) -> StatusCode {
        match self {
            Error::EtagMismatch { .. } | Error::AlreadyExists { .. } => StatusCode::CONFLICT,
            Error::NotGranted { .. } | Error::NotFound { .. } | Error::Invalid(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Error::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Error::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Error::Call(error) => error.gateway_status(),
            Error::App { .. } | Error::Bulk { .. } | Error::Api { .. } | Error::Json(_) => StatusCode::BAD_GATEWAY,
        }
    }

    fn from_report(status: u16, body: &[u8]) -> Self {
        let report: Report = serde_json::from_slice(body).unwrap_or_default();
        let Report { code, failed, .. } = report;
        let said = [report.message, report.detail, report.title];
        let message = said
            .into_iter()
            .find(|text| !text.is_empty())
            .unwrap_or_else(|| text(body.to_vec()));
        if !failed.is_empty() {
            return Error::Bulk { failed };
        }
        let not_found = status == 404 || code.ends_with("_NOT_FOUND") || code.ends_with("_NOT_CONFIGURED");
        if not_found {
            return Error::NotFound { code, message };
        }
        match words::refusal(&code, status, &message) {
            Some(Refusal::Missing) => return Error::NotFound { code, message },
            Some(Refusal::Exists) => return Error::AlreadyExists { message },
            Some(Refusal::Mismatch) => return Error::EtagMismatch { message },
            Some(Refusal::Unreachable) => return Error::Unavailable { message },
            Some(Refusal::TimedOut) => return Error::Timeout,
            None => {}
        }
        match status {
            409 => Error::AlreadyExists { message },
            401 | 403 => Error::NotGranted { message },
            408 | 504 => Error::Timeout,
            429 | 502 | 503 => Error::Unavailable { message },
            // The app is known but does not answer.
            500 if code == "ERR_DIRECT_INVOKE" => Error::Unavailable { message },
            _ => Error::Api {
                code,
                message,
                status,
            },
        }
    }
}

impl From<client::Error> for Error {
    fn from(error: client::Error) -> Self {
        match error {
            client::Error::Timeout => Error::Timeout,
            client::Error::Json(error) => Error::Json(error),
            client::Error::Denied => Error::NotGranted {
                message: error.to_string(),
            },
            client::Error::Connect(message) => Error::Unavailable { message },
            error => Error::Call(error),
        }
    }
}

/// For people, so that it need not be exact.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|_| "an answer that is not text".to_owned())
}
