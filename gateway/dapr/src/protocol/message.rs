//! Parts of HTTP messages: parsing queries and bodies, writing responses.

use axum::body::{Body, Bytes};
use http::{HeaderValue, Response, StatusCode, header::CONTENT_TYPE, request::Parts};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

use crate::error::{ApiError, ApiResult};

/// The longest body of a call that is kept in memory, in bytes: the sidecar's own default.
pub(crate) const MAX_BODY: usize = 4 * 1024 * 1024;

/// The values of query parameter `name`, decoded.
pub(crate) fn queries(parts: &Parts, name: &str) -> Vec<String> {
    pairs(parts)
        .filter(|(key, _)| key == name)
        .map(|(_, value)| value)
        .collect()
}

/// The query's pairs, decoded: a plus sign is a blank.
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

/// Reads the whole body of a call, up to [`MAX_BODY`].
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

/// Reads JSON; anything else is a malformed request.
pub(crate) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| ApiError::malformed(format!("bad JSON: {error}")))
}

/// An answer without content.
pub(crate) fn no_content() -> ApiResult {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// An answer in JSON.
pub(crate) fn json_answer(body: impl Into<Body>) -> ApiResult {
    let mut response = Response::new(body.into());
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// A text as a header's value; what no header can carry is left out.
pub(crate) fn header_value(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(text).ok()
}
