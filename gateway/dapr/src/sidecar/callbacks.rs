//! What the sidecar asks of the app beside it, sent on to the package it is for.

use std::{sync::Arc, time::Duration};

use axum::body::{Body, Bytes};
use futures_util::future::join_all;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
    request::Parts,
};
use http_body_util::{BodyExt, Limited};
use serde_json::{Map, Value, json};
use tokio::time::{sleep, timeout};

use super::{
    Shared, Topology, events,
    fanout::{EVENTS, FanOut},
    names::job_owner,
};
use crate::{
    api::{API_TOKEN, invoke::passed_on, path, same},
    app::{AppId, DeliverError, DeliveryKind, DeliveryResult},
    grants::Grants,
    jobs, json,
};

/// What became of a request on the app port.
#[derive(Debug)]
pub enum Callback {
    /// It was the sidecar's business; this is the answer.
    Answered(Response<Body>),
    /// It is an invocation of this gateway by another app: to be routed like any request.
    Invocation(Request<Body>),
}

/// How long the sidecar's question for subscriptions waits until every package has told its own.
/// The sidecar asks once, so an early answer would miss some for good.
const SUBSCRIPTIONS_PATIENCE: Duration = Duration::from_secs(60);

/// Says that a request is another app's invocation.
const CALLER: &str = "dapr-caller-app-id";

/// Says the same of an invocation that was sent from here. To its own app a sidecar hands it on without [`CALLER`], so
/// that it would look like an event or a job.
pub(super) const INVOKED_BY: &str = "wasmgate-caller";

/// Between two tries to ask a package for its subscriptions.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// Tries before a package that does not answer is taken to have no subscriptions: one broken
/// package must not keep events from all others.
const ASK_TRIES: u32 = 60;

pub(super) async fn handle(shared: &Arc<Shared>, request: Request<Body>) -> Callback {
    if !may_call(shared, request.headers()) && request.uri().path() != "/healthz" {
        return Callback::Answered(plain(StatusCode::UNAUTHORIZED, "invalid app token"));
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
        return Callback::Answered(plain(StatusCode::OK, ""));
    }
    if from_app {
        return invocation(shared, parts, body).await;
    }
    let answer = match (parts.method.as_str(), path.as_slice()) {
        ("GET", ["dapr", "config"]) => json_answer(&json!({"entities": []})),
        ("GET", ["dapr", "subscribe"]) => subscriptions(shared).await,
        ("POST", [prefix, pubsub, topic]) if EVENTS.strip_prefix('/') == Some(prefix) => {
            events::joined(shared, &parts, body, pubsub, topic).await
        }
        ("POST", _) if events::is_event(&parts) => events::declared(shared, &parts, body).await,
        ("POST", ["job", name @ ..]) => job(shared, &parts, body, &name.join("/")).await,
        ("POST", ["configuration", store, key]) => configuration(shared, &parts, body, store, key).await,
        ("OPTIONS", [name]) => match binding_apps(shared, name).await.as_slice() {
            [] => plain(StatusCode::NOT_FOUND, ""),
            _ => plain(StatusCode::OK, ""),
        },
        ("POST", [name]) => binding(shared, &parts, body, name).await,
        _ => return invocation(shared, parts, body).await,
    };
    Callback::Answered(answer)
}

/// Asks every package for its subscriptions until it answers. Those of one that has answered hold at once: one that does
/// not may not keep the events of the others waiting.
pub(super) async fn ask_apps(shared: Arc<Shared>) {
    let asked = shared.granted_apps().map(|app| async {
        let answer = ask(&shared, app).await;
        take_answer(&shared, app, answer);
    });
    join_all(asked).await;
    shared.asked.send_replace(true);
}

fn take_answer(shared: &Shared, app: &AppId, answer: Bytes) {
    shared.told.send_modify(|told| {
        told.insert(app.clone(), answer);
        let answers = told.iter().map(|(app, answer)| (app, answer.as_ref()));
        let (mut fan_out, mut errors) = FanOut::new(answers);
        errors.extend(fan_out.retain_granted(&shared.apps));
        for error in errors.iter().filter(|error| error.app == *app) {
            tracing::error!(%error, "a subscription is left out");
        }
        *shared.fan_out.write() = Arc::new(fan_out);
    });
}

async fn ask(shared: &Shared, app: &AppId) -> Bytes {
    for _ in 0..ASK_TRIES {
        match send(
            shared,
            app,
            Method::GET,
            "/dapr/subscribe",
            &HeaderMap::new(),
            Bytes::new(),
        )
        .await
        {
            Ok((status, body)) if status.is_success() => return body,
            Ok((StatusCode::NOT_FOUND, _)) => return Bytes::new(),
            Ok((status, _)) => tracing::warn!(app_id = %app, %status, "no subscriptions yet"),
            Err(reason) => tracing::debug!(app_id = %app, reason, "no subscriptions yet"),
        }
        sleep(ASK_AGAIN).await;
    }
    tracing::error!(app_id = %app, "the app never told its subscriptions; it gets no events");
    Bytes::new()
}

async fn subscriptions(shared: &Shared) -> Response<Body> {
    let mut asked = shared.asked.subscribe();
    if timeout(SUBSCRIPTIONS_PATIENCE, asked.wait_for(|asked| *asked))
        .await
        .is_err()
    {
        return plain(
            StatusCode::SERVICE_UNAVAILABLE,
            "packages are still starting",
        );
    }
    let fan_out = shared.fan_out.read().clone();
    json_answer(&fan_out.document())
}

/// Sends a job to its package. A 404 would end it for good to the sidecar, so what nobody takes is told as a failure: the
/// job's own policy says what comes then.
async fn job(shared: &Shared, parts: &Parts, body: Body, name: &str) -> Response<Body> {
    let owner = match &shared.settings.topology {
        Topology::Dedicated(app) => Some((app.clone(), name)),
        Topology::Shared => job_owner(name).filter(|(app, _)| shared.apps.contains_key(app)),
    };
    let Some((app, name)) = owner else {
        tracing::error!(job = name, "no package here has this job");
        return plain(StatusCode::SERVICE_UNAVAILABLE, "no package has this job");
    };
    let Ok(body) = whole(body).await else {
        return plain(
            StatusCode::SERVICE_UNAVAILABLE,
            "the job broke off on its way",
        );
    };
    let path = jobs::path(name);
    let answer = send(shared, &app, Method::POST, &path, &parts.headers, body).await;
    settled(shared, &app, DeliveryKind::Job, &answer);
    match answer {
        // The sidecar would take it for done, and the job would be lost.
        Ok((StatusCode::NOT_FOUND, _)) => {
            tracing::warn!(app_id = %app, job = name, "the app has no route for its job (404)");
            plain(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the app has no route for it (404)",
            )
        }
        answer => passed_on_answer(answer),
    }
}

async fn configuration(shared: &Shared, parts: &Parts, body: Body, store: &str, key: &str) -> Response<Body> {
    let Ok(body) = whole(body).await else {
        return plain(StatusCode::BAD_REQUEST, "");
    };
    let notice = match json::from_slice(&body) {
        Ok(Value::Object(notice)) => notice,
        _ => Map::new(),
    };
    let id = notice.get("id").and_then(Value::as_str).unwrap_or_default();
    let known = shared.watchers.lock().get(id).cloned();
    // A subscription of an earlier life of this process: everyone who may know is told.
    let apps: Vec<&AppId> = match &known {
        Some(app) => vec![app],
        None => shared.granted_apps().collect(),
    };
    let told = apps.into_iter().filter_map(|app| {
        let grants = shared.apps.get(app)?;
        let notice = granted_notice(&notice, grants, store)?;
        if !grants.allows_configuration(store, key) {
            return None;
        }
        Some(async move {
            let path = path::written(&["configuration", store, key]);
            let sent = send(shared, app, Method::POST, &path, &parts.headers, notice);
            if let Err(reason) = sent.await {
                tracing::warn!(app_id = %app, reason, "a change of configuration was not told");
            }
        })
    });
    join_all(told).await;
    plain(StatusCode::OK, "")
}

/// The notice with only those items that are granted.
fn granted_notice(notice: &Map<String, Value>, grants: &Grants, store: &str) -> Option<Bytes> {
    let mut notice = notice.clone();
    if let Some(Value::Object(items)) = notice.get_mut("items") {
        items.retain(|key, _| grants.allows_configuration(store, key));
    }
    serde_json::to_vec(&notice).ok().map(Bytes::from)
}

/// Sends what an input binding brought to every package that takes it.
async fn binding(shared: &Shared, parts: &Parts, body: Body, name: &str) -> Response<Body> {
    let apps = binding_apps(shared, name).await;
    let Ok(body) = whole(body).await else {
        return plain(StatusCode::BAD_REQUEST, "");
    };
    if apps.is_empty() {
        return plain(StatusCode::NOT_FOUND, "no package takes this binding");
    }
    let path = parts.uri.path();
    let sent = apps.iter().map(|app| {
        send(
            shared,
            app,
            Method::POST,
            path,
            &parts.headers,
            body.clone(),
        )
    });
    let mut answers = join_all(sent).await;
    for (app, answer) in apps.iter().zip(&answers) {
        settled(shared, app, DeliveryKind::Binding, answer);
    }
    let failed =
        |answer: &Result<(StatusCode, Bytes), String>| !matches!(answer, Ok((status, _)) if status.is_success());
    // The first failure speaks for all: the sidecar delivers again.
    let at = answers.iter().position(failed).unwrap_or(0);
    passed_on_answer(answers.swap_remove(at))
}

/// The packages that have a route for a binding, asked once.
async fn binding_apps(shared: &Shared, name: &str) -> Vec<AppId> {
    if let Some(apps) = shared.bindings.lock().get(name) {
        return apps.clone();
    }
    let path = path::written(&[name]);
    let asked = shared.granted_apps().map(|app| {
        let path = path.clone();
        async move {
            let answer = send(
                shared,
                app,
                Method::OPTIONS,
                &path,
                &HeaderMap::new(),
                Bytes::new(),
            )
            .await;
            let takes = |status: StatusCode| status.is_success() || status == StatusCode::METHOD_NOT_ALLOWED;
            matches!(answer, Ok((status, _)) if takes(status)).then(|| app.clone())
        }
    });
    let apps: Vec<AppId> = join_all(asked).await.into_iter().flatten().collect();
    if !apps.is_empty() {
        shared.bindings.lock().insert(name.to_owned(), apps.clone());
    }
    apps
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
    let answer = crate::api::invoke::answered(answer);
    Callback::Answered(answer.unwrap_or_else(|error| error.into_response()))
}

/// Sends something to a package and waits for the whole answer.
pub(super) async fn send(
    shared: &Shared,
    app: &AppId,
    method: Method,
    path: &str,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, Bytes), String> {
    let mut request = Request::new(Body::from(body));
    *request.method_mut() = method;
    *request.uri_mut() = path
        .parse()
        .map_err(|error| format!("route {path:?}: {error}"))?;
    *request.headers_mut() = passed_on(headers);
    request.headers_mut().remove(CONTENT_LENGTH);
    let exchange = async {
        let answer = shared.channel.deliver(app, request).await;
        let answer = answer.map_err(|error: DeliverError| error.to_string())?;
        let (head, body) = answer.into_parts();
        Ok((head.status, whole(body).await?))
    };
    let limit = shared.channel.patience(app);
    let answer = timeout(limit, exchange).await;
    answer.unwrap_or_else(|_| Err(format!("no answer within {limit:?}")))
}

/// Tells what became of a job or of what a binding brought.
fn settled(shared: &Shared, app: &AppId, kind: DeliveryKind, answer: &Result<(StatusCode, Bytes), String>) {
    let result = match answer {
        Ok((status, _)) if status.is_success() => DeliveryResult::Done,
        Ok(_) => DeliveryResult::Retry,
        Err(_) => DeliveryResult::Unreachable,
    };
    shared.channel.settled(app, kind, result);
}

/// The longest body of a callback, and of an answer to one: a batch may hold many events of the sidecar's own limit of
/// 4 MiB.
const MAX_CALLBACK: usize = 64 * 1024 * 1024;

pub(super) async fn whole(body: Body) -> Result<Bytes, String> {
    let body = Limited::new(body, MAX_CALLBACK).collect().await;
    body.map(|body| body.to_bytes())
        .map_err(|error| error.to_string())
}

fn may_call(shared: &Shared, headers: &HeaderMap) -> bool {
    let Some(token) = &shared.settings.app_token else {
        return true;
    };
    let given = headers.get(API_TOKEN).map(HeaderValue::as_bytes);
    given.is_some_and(|given| same(given, token.as_bytes()))
}

fn passed_on_answer(answer: Result<(StatusCode, Bytes), String>) -> Response<Body> {
    match answer {
        Ok((status, body)) => {
            let mut response = Response::new(Body::from(body));
            *response.status_mut() = status;
            response
        }
        Err(reason) => plain(StatusCode::SERVICE_UNAVAILABLE, &reason),
    }
}

fn plain(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(text.to_owned()));
    *response.status_mut() = status;
    response
}

pub(super) fn json_answer(body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
