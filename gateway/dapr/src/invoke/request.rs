//! The request of an invocation, as the callee sees it.

use axum::body::Body;
use http::{HeaderMap, HeaderName, Request, Uri, header, request::Parts};
use http_body::Body as _;
use http_body_util::Limited;
use wasmgate_common::{ensure_traceparent, remove_hop_by_hop};

use super::{
    FAILED,
    depth::{DEPTH, of_invocation},
};
use crate::{
    app::AppId,
    error::ApiError,
    protocol::{
        API_TOKEN,
        message::{MAX_BODY, header_value},
        operation::{APP_ID, addressed},
    },
};

/// Beginnings of headers by which a sidecar or this gateway says who calls whom.
const VOUCHED: [&str; 5] = [
    APP_ID,
    API_TOKEN,
    "dapr-caller-",
    "dapr-callee-",
    "wasmgate-",
];

/// The request as the callee sees it; `method` is its path, as [`wasmgate_common::path::from_segments`] writes it.
pub(crate) fn outgoing(
    parts: &Parts,
    body: Body,
    caller: &AppId,
    callee: &AppId,
    method: &str,
) -> Result<Request<Body>, ApiError> {
    let depth = of_invocation(parts)?;
    let mut target = method.to_owned();
    if let Some(query) = parts.uri.query() {
        target.push('?');
        target.push_str(query);
    }
    let uri: Uri = target.parse().map_err(|error: http::uri::InvalidUri| {
        ApiError::new(400, FAILED, format!("{target:?} is no path: {error}"))
    })?;
    let mut request = Request::new(limited(body)?);
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = uri;
    *request.headers_mut() = passed_on(&parts.headers);
    let headers = request.headers_mut();
    for (name, app) in [
        ("dapr-caller-app-id", caller),
        ("dapr-callee-app-id", callee),
    ] {
        // Whoever calls itself is told nothing; nobody says who calls but this.
        headers.remove(name);
        if caller != callee
            && let Some(value) = header_value(app.as_str())
        {
            headers.insert(name, value);
        }
    }
    headers.insert(DEPTH, depth);
    ensure_traceparent(headers);
    Ok(request)
}

/// A body that may not be longer than any other of the API: the sidecar's limit holds for invocations too.
fn limited(body: Body) -> Result<Body, ApiError> {
    let (least, most) = (body.size_hint().lower(), body.size_hint().upper());
    if least > MAX_BODY as u64 {
        let message = format!("the body is longer than {MAX_BODY} bytes; send it in parts");
        return Err(ApiError::new(500, FAILED, message));
    }
    Ok(match most {
        Some(most) if most <= MAX_BODY as u64 => body,
        _ => Body::new(Limited::new(body, MAX_BODY)),
    })
}

/// Keeps of a caller's headers the callee's: all but those that address the call or vouch for it.
pub(crate) fn passed_on(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    remove_hop_by_hop(&mut headers);
    headers.remove(header::HOST);
    let authorization = headers.get_all(header::AUTHORIZATION);
    if authorization.iter().any(|value| addressed(value).is_some()) {
        headers.remove(header::AUTHORIZATION);
    }
    let names: Vec<HeaderName> = headers.keys().cloned().collect();
    for name in names {
        if VOUCHED
            .iter()
            .any(|prefix| name.as_str().starts_with(prefix))
        {
            headers.remove(name);
        }
    }
    headers
}

/// Reads the app-id of a callee.
pub(crate) fn callee(app: &str) -> Result<AppId, ApiError> {
    AppId::new(app).map_err(|error| ApiError::new(500, FAILED, error.to_string()))
}
