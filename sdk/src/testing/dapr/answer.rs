//! The stand-in's answers.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::Response;

/// An answer, or the refusal that is one.
pub(super) type Answer = Result<Response, Response>;

/// An error as Dapr answers it.
pub(super) fn failure(status: u16, code: &str, message: &str) -> Response {
    Response::json(&json!({"errorCode": code, "message": message})).with_status(status)
}

/// A refusal.
pub(super) fn refuse<T>(status: u16, code: &str, message: &str) -> Result<T, Response> {
    Err(failure(status, code, message))
}

/// A body as JSON, or the refusal of one that is not.
pub(super) fn answer_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Response> {
    serde_json::from_slice(body).map_err(|error| failure(400, "ERR_MALFORMED_REQUEST", &error.to_string()))
}

/// A member that is text, empty if there is none.
pub(super) fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}
