//! The sidecar's requests to its app, forwarded to the right package.

mod batches;
mod bindings;
mod configuration;
mod delivery;
mod events;
mod jobs;
mod outcomes;
mod subscriptions;

use std::sync::Arc;

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, request::Parts};
use serde_json::json;
use subtle::ConstantTimeEq as _;
use wasmgate_common::path;

use super::{fanout::EVENTS, names::INVOKED_BY, settings::Topology, shared::Shared};
use crate::{invoke, protocol::API_TOKEN};
pub(super) use bindings::refresh;
use delivery::{json_answer, text_answer};
pub(super) use subscriptions::{ask, fetch_subscriptions, retain};

/// The outcome of a request on the app port.
#[derive(Debug)]
pub enum Callback {
    /// It was the sidecar's business; this is the answer.
    Answered(Response<Body>),
    /// It is an invocation of this gateway by another app: to be routed like any request.
    Invocation(Request<Body>),
}

/// Names the app whose invocation a request is.
const CALLER: &str = "dapr-caller-app-id";

/// Answers one request on the app port.
pub(super) async fn handle(shared: &Arc<Shared>, request: Request<Body>) -> Callback {
    if !may_call(shared, request.headers()) && request.uri().path() != "/healthz" {
        return Callback::Answered(text_answer(StatusCode::UNAUTHORIZED, "invalid app token"));
    }
    let from_app = [CALLER, INVOKED_BY]
        .iter()
        .any(|name| request.headers().contains_key(*name));
    let (parts, body) = request.into_parts();
    let uri = parts.uri.clone();
    // What is no path here may be one to a package: it decides.
    let Ok(segments) = path::segments(uri.path()) else {
        return invocation(shared, parts, body).await;
    };
    let path: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
    if let ("GET", ["healthz"]) = (parts.method.as_str(), path.as_slice()) {
        let status = match shared.leaving.check() {
            true => StatusCode::OK,
            false => StatusCode::SERVICE_UNAVAILABLE,
        };
        return Callback::Answered(text_answer(status, ""));
    }
    let _under_way = shared.leaving.deliver();
    if from_app {
        return invocation(shared, parts, body).await;
    }
    let answer = match (parts.method.as_str(), path.as_slice()) {
        ("GET", ["dapr", "config"]) => json_answer(&json!({"entities": []})),
        ("GET", ["dapr", "subscribe"]) => subscriptions::answer(shared).await,
        ("POST", [prefix, pubsub, topic]) if EVENTS.strip_prefix('/') == Some(prefix) => {
            events::joined(shared, &parts, body, pubsub, topic).await
        }
        ("POST", _) if events::is_event(&parts) => events::declared(shared, &parts, body).await,
        ("POST", ["job", name @ ..]) => jobs::deliver(shared, &parts, body, &name.join("/")).await,
        ("POST", ["configuration", store, key]) => configuration::deliver(shared, &parts, body, store, key).await,
        ("OPTIONS", [name]) => match bindings::apps(shared, name).await.as_slice() {
            [] => text_answer(StatusCode::NOT_FOUND, ""),
            _ => text_answer(StatusCode::OK, ""),
        },
        ("POST", [name]) => bindings::deliver(shared, &parts, body, name).await,
        _ => return invocation(shared, parts, body).await,
    };
    Callback::Answered(answer)
}

async fn invocation(shared: &Shared, mut parts: Parts, body: Body) -> Callback {
    parts.headers.remove(API_TOKEN);
    if let Some(caller) = parts.headers.remove(INVOKED_BY) {
        parts.headers.entry(CALLER).or_insert(caller);
    }
    let request = Request::from_parts(parts, body);
    let Topology::Dedicated(app) = &shared.settings.topology else {
        return Callback::Invocation(request);
    };
    let answer = shared.channel.deliver(app, request).await;
    let answer = invoke::answered(answer);
    Callback::Answered(answer.unwrap_or_else(|error| error.into_response()))
}

fn may_call(shared: &Shared, headers: &HeaderMap) -> bool {
    let Some(token) = &shared.settings.app_token else {
        return true;
    };
    let given = headers.get(API_TOKEN).map(HeaderValue::as_bytes);
    given.is_some_and(|given| given.ct_eq(token.as_bytes()).into())
}
