//! Service invocation: one app calls another.

use std::{future::Future, time::Duration};

use axum::body::Body;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri, header, request::Parts};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, BodyStream, Limited, StreamBody};
use tokio::time::{sleep, timeout};
use wasmgate_common::{ensure_traceparent, remove_hop_by_hop};

use super::call::Call;
use crate::{
    app::{AppId, DeliverError},
    components::BackOff,
    error::{ApiError, ApiResult},
    protocol::{
        API_TOKEN,
        message::{MAX_BODY, bytes, header_value},
        operation::{APP_ID, addressed},
    },
    runtime::Runtime,
};

const FAILED: &str = "ERR_DIRECT_INVOKE";

const TEXT: &str = "text/plain; charset=utf-8";
const BYTES: &str = "application/octet-stream";

/// Beginnings of headers by which a sidecar or this gateway says who calls whom.
const VOUCHED: [&str; 5] = [
    APP_ID,
    API_TOKEN,
    "dapr-caller-",
    "dapr-callee-",
    "wasmgate-",
];

/// Hands the call to the app it names, and its answer back.
pub(super) async fn invoke(call: &Call<'_>, body: Body, app: &str, method: &str) -> ApiResult {
    let runtime = call.runtime;
    // `app.namespace` is the sidecar's way to name a namespace; there is only one here.
    let namespace = runtime.settings.namespace.as_deref().unwrap_or("default");
    let plain = app
        .strip_suffix(namespace)
        .and_then(|app| app.strip_suffix('.'));
    let callee = callee(plain.unwrap_or(app))?;
    let policy = runtime
        .components
        .resiliency
        .app(call.caller, callee.as_str());
    let request = outgoing(call.parts, body, call.caller, &callee, method)?;
    let answer = match policy.retry {
        Some(back_off) if is_small(&request) => retried(runtime, &callee, request, policy.timeout, back_off).await?,
        _ => within(policy.timeout, &callee, runtime.deliver(&callee, request)).await,
    };
    invoked(answer).await
}

/// Whether a request can be kept and sent again; what streams is sent once.
fn is_small(request: &Request<Body>) -> bool {
    request
        .body()
        .size_hint()
        .upper()
        .is_some_and(|size| size <= MAX_BODY as u64)
}

/// Calls again while the callee cannot be reached. What it has answered stands.
async fn retried(
    runtime: &Runtime,
    callee: &AppId,
    request: Request<Body>,
    timeout: Option<Duration>,
    back_off: BackOff,
) -> Result<Result<Response<Body>, DeliverError>, ApiError> {
    let (parts, body) = request.into_parts();
    let body = bytes(body).await?;
    for retry in 0.. {
        let request = Request::from_parts(parts.clone(), Body::from(body.clone()));
        let answer = within(timeout, callee, runtime.deliver(callee, request)).await;
        match (&answer, back_off.pause(retry)) {
            (Err(DeliverError::Unavailable { .. }), Some(pause)) => sleep(pause).await,
            _ => return Ok(answer),
        }
    }
    Err(ApiError::new(500, FAILED, "the retries are used up"))
}

async fn within(
    limit: Option<Duration>,
    callee: &AppId,
    delivery: impl Future<Output = Result<Response<Body>, DeliverError>>,
) -> Result<Response<Body>, DeliverError> {
    let Some(limit) = limit else {
        return delivery.await;
    };
    timeout(limit, delivery).await.unwrap_or_else(|_| {
        let reason = format!("no answer within {limit:?}");
        Err(DeliverError::Unavailable {
            app: callee.clone(),
            reason,
        })
    })
}

pub(crate) fn callee(app: &str) -> Result<AppId, ApiError> {
    AppId::new(app).map_err(|error| ApiError::new(500, FAILED, error.to_string()))
}

/// What the caller gets for the callee's answer, as the sidecar would hand it over.
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

/// Whether bytes hold none of the control codes that no text has (WHATWG MIME Sniffing, section 7).
fn is_text(data: &[u8]) -> bool {
    !data
        .iter()
        .any(|byte| matches!(byte, 0..=8 | 0xb | 0xe..=0x1a | 0x1c..=0x1f))
}

/// The request as the callee sees it; `method` is its path, as [`super::path::written`] writes it.
pub(crate) fn outgoing(
    parts: &Parts,
    body: Body,
    caller: &AppId,
    callee: &AppId,
    method: &str,
) -> Result<Request<Body>, ApiError> {
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

/// What of a caller's headers is the callee's: all but those that address the call or vouch for it.
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
