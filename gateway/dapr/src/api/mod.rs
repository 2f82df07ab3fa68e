//! The Dapr HTTP API: which path is which operation.

mod bindings;
mod call;
pub(crate) mod configuration;
mod invoke;
mod jobs;
mod lock;
mod meta;
mod publish;
mod query;
mod secrets;
mod state;

use std::sync::Arc;

use axum::body::Body;
use http::{HeaderValue, Request, Response, StatusCode, header::CONTENT_TYPE};
use percent_encoding::percent_decode_str;

use crate::{
    app::AppId,
    error::{ApiError, ApiResult},
    grants::Grants,
    runtime::Runtime,
};
use call::Call;
pub(crate) use call::or_default;

/// Header of the token that callers over TCP present.
const API_TOKEN: &str = "dapr-api-token";

/// Answers one call; every failure is an answer too.
pub(crate) async fn handle(
    runtime: &Arc<Runtime>,
    caller: &AppId,
    grants: &Grants,
    request: Request<Body>,
) -> Response<Body> {
    match route(runtime, caller, grants, request).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

async fn route(
    runtime: &Arc<Runtime>,
    caller: &AppId,
    grants: &Grants,
    request: Request<Body>,
) -> ApiResult {
    let (parts, body) = request.into_parts();
    let call = Call {
        runtime,
        caller,
        grants,
        parts,
    };
    if call.parts.headers.contains_key(invoke::APP_ID) {
        return invoke::by_header(&call, body).await;
    }
    let path = call.parts.uri.path().to_owned();
    let mut segments = Vec::with_capacity(8);
    for segment in path
        .trim_start_matches('/')
        .trim_end_matches('/')
        .split('/')
    {
        let decoded = percent_decode_str(segment).decode_utf8();
        segments.push(decoded.map_err(|_| ApiError::malformed("the path is not UTF-8"))?);
    }
    let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
    // The alpha and beta versions of an operation answer like the stable one.
    let operation = match segments.as_slice() {
        [
            "v1.0" | "v1.0-alpha1" | "v1.0-alpha2" | "v1.0-beta1",
            operation @ ..,
        ] => operation,
        _ => return Err(unknown(&path)),
    };
    match (call.parts.method.as_str(), operation) {
        ("GET", ["state", store, key]) => state::get(&call, store, key),
        ("POST" | "PUT", ["state", store]) => state::save(&call, body, store).await,
        ("POST" | "PUT", ["state", store, "bulk"]) => state::bulk_get(&call, body, store).await,
        ("POST" | "PUT", ["state", store, "transaction"]) => {
            state::transact(&call, body, store).await
        }
        ("POST" | "PUT", ["state", store, "query"]) => query::query(&call, body, store).await,
        ("DELETE", ["state", store, key]) => state::delete(&call, store, key).await,

        ("POST", ["publish", "bulk", pubsub, topic @ ..]) => {
            publish::bulk(&call, body, pubsub, &topic.join("/")).await
        }
        ("POST" | "PUT", ["publish", pubsub, topic @ ..]) => {
            publish::publish(&call, body, pubsub, &topic.join("/")).await
        }

        (_, ["invoke", app, "method", ..]) => invoke::by_path(&call, body, app).await,

        ("POST" | "PUT", ["bindings", name]) => bindings::invoke(&call, body, name).await,

        ("GET", ["secrets", store, "bulk"]) => secrets::bulk(&call, store),
        ("GET", ["secrets", store, key @ ..]) if !key.is_empty() => {
            secrets::get(&call, store, &key.join("/"))
        }

        ("GET", ["configuration", store]) => configuration::get(&call, store),
        ("GET", ["configuration", store, "subscribe"]) => configuration::subscribe(&call, store),
        ("GET", ["configuration", store, id, "unsubscribe"]) => {
            configuration::unsubscribe(&call, store, id)
        }

        ("POST", ["lock", store]) => lock::lock(&call, body, store).await,
        ("POST", ["unlock", store]) => lock::unlock(&call, body, store).await,

        ("POST", ["jobs", name]) => jobs::schedule(&call, body, name).await,
        ("GET", ["jobs", name]) => jobs::get(&call, name),
        ("DELETE", ["jobs", name]) => jobs::delete(&call, name).await,

        ("GET", ["healthz"] | ["healthz", "outbound"]) => meta::health(&call),
        ("GET", ["metadata"]) => meta::metadata(&call),
        ("PUT", ["metadata", key]) => meta::set(&call, body, key).await,
        _ => Err(unknown(&path)),
    }
}

/// Refuses a call over TCP without the token, if one is set. Health checks need none.
pub(crate) fn check_token(
    runtime: &Runtime,
    request: &Request<Body>,
) -> Result<(), Box<Response<Body>>> {
    let Some(token) = &runtime.settings.api_token else {
        return Ok(());
    };
    let path = request.uri().path().trim_end_matches('/');
    let given = request.headers().get(API_TOKEN).map(HeaderValue::as_bytes);
    if matches!(path, "/v1.0/healthz" | "/v1.0/healthz/outbound")
        || given.is_some_and(|given| same(given, token.as_bytes()))
    {
        return Ok(());
    }
    let mut refusal = Response::new(Body::from("invalid api token"));
    *refusal.status_mut() = StatusCode::UNAUTHORIZED;
    refusal
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Err(Box::new(refusal))
}

/// Compares in a time that does not tell where the texts differ.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

fn unknown(path: &str) -> ApiError {
    let message = format!(
        "there is no operation {path:?}; an invocation is /v1.0/invoke/<app-id>/method/<path>"
    );
    ApiError::new(404, "ERR_DIRECT_INVOKE", message)
}
