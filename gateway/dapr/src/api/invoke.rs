//! Service invocation: one app calls another.

use axum::body::Body;
use http::{HeaderMap, HeaderName, Request, Uri, header};

use super::call::Call;
use crate::{
    app::{AppId, DeliverError},
    error::{ApiError, ApiResult},
    runtime::header_value,
};

/// Names the callee on any path.
pub(super) const APP_ID: &str = "dapr-app-id";

const FAILED: &str = "ERR_DIRECT_INVOKE";

/// Headers that belong to one connection (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// `/v1.0/invoke/{app-id}/method/{path}`.
pub(super) async fn by_path(call: &Call<'_>, body: Body, app: &str) -> ApiResult {
    let path = call.parts.uri.path();
    let method = path.split_once("/method").map_or("", |(_, method)| method);
    invoke(call, body, app, method).await
}

/// Any path with the header `dapr-app-id`.
pub(super) async fn by_header(call: &Call<'_>, body: Body) -> ApiResult {
    let app = call.header(APP_ID).unwrap_or_default();
    invoke(call, body, app, call.parts.uri.path()).await
}

async fn invoke(call: &Call<'_>, body: Body, app: &str, method: &str) -> ApiResult {
    // `app.namespace` is the sidecar's way to name a namespace; there is only one here.
    let namespace = call
        .runtime
        .settings
        .namespace
        .as_deref()
        .unwrap_or("default");
    let app = app
        .strip_suffix(namespace)
        .and_then(|app| app.strip_suffix('.'))
        .unwrap_or(app);
    if !call.grants.allows_invoke(app) {
        return Err(ApiError::not_granted(FAILED, "invoke", app));
    }
    let callee = AppId::new(app).map_err(|error| ApiError::new(404, FAILED, error.to_string()))?;
    let policy = call.runtime.components.resiliency.app(call.caller, app);
    let runtime = call.runtime;
    let request = outgoing(call, body, &callee, method)?;
    let delivery = runtime.deliver(&callee, request);
    let answer = match policy.timeout {
        Some(limit) => tokio::time::timeout(limit, delivery)
            .await
            .unwrap_or_else(|_| {
                let reason = format!("no answer within {limit:?}");
                Err(DeliverError::Unavailable {
                    app: callee.clone(),
                    reason,
                })
            }),
        None => delivery.await,
    };
    match answer {
        Ok(mut response) => {
            remove_hop_by_hop(response.headers_mut());
            Ok(response)
        }
        Err(error @ DeliverError::NoSuchApp(_)) => {
            Err(ApiError::new(404, FAILED, error.to_string()))
        }
        Err(error @ DeliverError::Unavailable { .. }) => {
            Err(ApiError::new(500, FAILED, error.to_string()))
        }
    }
}

fn outgoing(
    call: &Call<'_>,
    body: Body,
    callee: &AppId,
    method: &str,
) -> Result<Request<Body>, ApiError> {
    let mut target = clean(method);
    if let Some(query) = call.parts.uri.query() {
        target.push('?');
        target.push_str(query);
    }
    let uri: Uri = target.parse().map_err(|error: http::uri::InvalidUri| {
        ApiError::new(400, FAILED, format!("{target:?} is no path: {error}"))
    })?;
    let trace = call.traceparent();
    let mut request = Request::new(body);
    *request.method_mut() = call.parts.method.clone();
    *request.uri_mut() = uri;
    *request.headers_mut() = call.parts.headers.clone();
    let headers = request.headers_mut();
    remove_hop_by_hop(headers);
    headers.remove(header::HOST);
    headers.remove(APP_ID);
    headers.remove(super::API_TOKEN);
    for (name, value) in [
        ("dapr-caller-app-id", call.caller.as_str()),
        ("dapr-callee-app-id", callee.as_str()),
        ("traceparent", trace.as_str()),
    ] {
        if let Some(value) = header_value(value) {
            headers.insert(name, value);
        }
    }
    Ok(request)
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// The path without empty, `.` and `..` segments (encoded ones too), always below the root.
fn clean(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match percent_encoding::percent_decode_str(segment)
            .decode_utf8_lossy()
            .as_ref()
        {
            "" | "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_before_dispatch() {
        assert_eq!(clean("/a//b/./c/../d"), "/a/b/d");
        assert_eq!(clean("/../../job/x"), "/job/x");
        assert_eq!(clean("/a/%2e%2e/b"), "/b");
        assert_eq!(clean(""), "/");
        assert_eq!(clean("/a%2Fb"), "/a%2Fb");
    }
}
