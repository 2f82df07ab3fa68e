//! The response of an invocation, as the caller sees it.

use axum::body::Body;
use futures_util::{StreamExt, stream};
use http::{HeaderValue, Response, header};
use http_body::Frame;
use http_body_util::{BodyExt, BodyStream, StreamBody};
use wasmgate_common::remove_hop_by_hop;

use super::FAILED;
use crate::{
    app::DeliverError,
    error::{ApiError, ApiResult},
};

const TEXT: &str = "text/plain; charset=utf-8";
const BYTES: &str = "application/octet-stream";

/// Makes of the callee's answer the caller's, as the sidecar would hand it over.
pub(crate) async fn invoked(answer: Result<Response<Body>, DeliverError>) -> ApiResult {
    let response = answered(answer)?;
    if response.headers().contains_key(header::CONTENT_TYPE) {
        return Ok(response);
    }
    Ok(with_content_type(response).await)
}

/// The app's answer as it leaves this process.
pub(crate) fn answered(answer: Result<Response<Body>, DeliverError>) -> ApiResult {
    match answer {
        Ok(mut response) => {
            remove_hop_by_hop(response.headers_mut());
            Ok(response)
        }
        Err(error @ (DeliverError::NoSuchApp(_) | DeliverError::Unavailable { .. })) => {
            Err(ApiError::new(500, FAILED, error.to_string()))
        }
    }
}

/// Names the content type that the callee did not: JSON for a failure, else text or bytes by how the body begins. That
/// is what the sidecar answers; a body that is empty has none.
async fn with_content_type(response: Response<Body>) -> Response<Body> {
    let (mut head, mut body) = response.into_parts();
    let failed = head.status.is_client_error() || head.status.is_server_error();
    let (kind, body) = if failed {
        (Some("application/json"), body)
    } else {
        match body.frame().await {
            None => (None, Body::empty()),
            Some(first) => {
                let data = first.as_ref().ok().and_then(Frame::data_ref);
                let kind = data.map(|data| if is_text(data) { TEXT } else { BYTES });
                let rest = stream::once(async { first }).chain(BodyStream::new(body));
                (kind, Body::new(StreamBody::new(rest)))
            }
        }
    };
    if let Some(kind) = kind {
        let kind = HeaderValue::from_static(kind);
        head.headers.insert(header::CONTENT_TYPE, kind);
    }
    Response::from_parts(head, body)
}

/// Returns true for bytes with none of the control codes that no text has (WHATWG MIME Sniffing, section 7).
fn is_text(data: &[u8]) -> bool {
    !data
        .iter()
        .any(|byte| matches!(byte, 0..=8 | 0xb | 0xe..=0x1a | 0x1c..=0x1f))
}
