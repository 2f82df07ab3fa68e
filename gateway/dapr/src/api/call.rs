//! One call on its way through the API, and what the operations share.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use http::{HeaderValue, Response, StatusCode, header::CONTENT_TYPE, request::Parts};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};

use crate::{
    app::AppId,
    error::{ApiError, ApiResult},
    event::new_traceparent,
    grants::Grants,
    runtime::Runtime,
    store::Fault,
};

/// The longest body of a call that is kept in memory: the sidecar's own default. Invocations
/// stream and know no limit here.
pub(crate) const MAX_BODY: usize = 4 * 1024 * 1024;

/// The longest key: far above what an app needs, and below what an index copes with badly.
const MAX_KEY: usize = 1024;

pub(crate) struct Call<'a> {
    pub(crate) runtime: &'a Arc<Runtime>,
    pub(crate) caller: &'a AppId,
    pub(crate) grants: &'a Grants,
    pub(crate) parts: &'a Parts,
}

impl Call<'_> {
    /// The values of query parameter `name`, decoded.
    pub(crate) fn queries(&self, name: &str) -> Vec<String> {
        queries(self.parts, name)
    }

    /// The query's `metadata.<key>=<value>` pairs, without that prefix.
    pub(crate) fn metadata(&self) -> Vec<(String, String)> {
        pairs(self.parts)
            .filter_map(|(key, value)| Some((key.strip_prefix("metadata.")?.to_owned(), value)))
            .collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    }

    /// The caller's trace, or a new one.
    pub(crate) fn traceparent(&self) -> String {
        self.header("traceparent")
            .map_or_else(new_traceparent, str::to_owned)
    }
}

/// The values of query parameter `name`, decoded.
pub(crate) fn queries(parts: &Parts, name: &str) -> Vec<String> {
    pairs(parts)
        .filter(|(key, _)| key == name)
        .map(|(_, value)| value)
        .collect()
}

pub(crate) fn pairs(parts: &Parts) -> impl Iterator<Item = (String, String)> {
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text).decode_utf8_lossy().into_owned()
    };
    let query = parts.uri.query().unwrap_or_default();
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(move |pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key), decode(value))
    })
}

/// The whole body of a call.
pub(crate) async fn bytes(body: Body) -> Result<Bytes, ApiError> {
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let message = format!("the body is longer than {MAX_BODY} bytes; send it in parts");
            Err(ApiError::new(413, "ERR_BODY_TOO_LARGE", message))
        }
        Err(error) => Err(ApiError::malformed(format!("the body broke off: {error}"))),
    }
}

/// Reads JSON; what it is not is a malformed request.
pub(crate) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| ApiError::malformed(format!("bad JSON: {error}")))
}

/// Takes `null` for what is absent, as the sidecar does.
pub(crate) fn or_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Checks a key and puts the store's prefix before it.
pub(crate) fn full_key(prefix: &str, key: &str) -> Result<String, ApiError> {
    if key.is_empty() {
        return Err(ApiError::malformed("the key is empty; give one"));
    }
    if key.contains("||") {
        return Err(ApiError::malformed(format!(
            "key {key:?} may not contain '||'"
        )));
    }
    if key.len() > MAX_KEY {
        return Err(ApiError::malformed(format!(
            "the key is longer than {MAX_KEY} bytes"
        )));
    }
    Ok(format!("{prefix}{key}"))
}

pub(crate) fn no_content() -> ApiResult {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

pub(crate) fn json_answer(body: impl Into<Body>) -> ApiResult {
    let mut response = Response::new(body.into());
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// A failure of the database under the code of the operation, each kind with its own remedy.
pub(crate) fn store_error(code: &'static str, error: &crate::store::StoreError) -> ApiError {
    tracing::error!(%error, fault = ?error.fault(), code, "the database failed");
    match error.fault() {
        Fault::Full => ApiError::new(
            507,
            code,
            "the disk of the embedded runtime is full; nothing was stored",
        ),
        Fault::Busy => ApiError::new(
            503,
            code,
            "the embedded runtime's database is short of what it needs; try again",
        )
        .retry_after(),
        Fault::Io => ApiError::new(
            500,
            code,
            "the embedded runtime's disk failed; nothing was stored",
        ),
        Fault::Corrupt => ApiError::new(
            500,
            code,
            "the embedded runtime's database is damaged; a backup has to be restored",
        ),
        Fault::Other => ApiError::new(
            500,
            code,
            format!("the embedded runtime's database failed: {error}"),
        ),
    }
}
