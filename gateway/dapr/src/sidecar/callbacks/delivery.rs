//! Requests to packages on the sidecar's behalf, and the responses to it.

use axum::body::{Body, Bytes};
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use http_body_util::{BodyExt, Limited};
use serde_json::Value;
use tokio::time::timeout;
use wasmgate_common::path::encode_component;

use crate::{
    app::{AppId, DeliverError, DeliveryKind, DeliveryResult},
    event::CLOUD_EVENTS,
    invoke::passed_on,
    pubsub::outcome::Outcome,
    sidecar::shared::Shared,
};

/// A package's whole answer, or why there is none.
pub(super) type Answer = Result<(StatusCode, Bytes), String>;

/// Sends something to a package and waits for the whole answer.
pub(super) async fn send(
    shared: &Shared,
    app: &AppId,
    method: Method,
    path: &str,
    headers: &HeaderMap,
    body: Bytes,
) -> Answer {
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
        Ok((head.status, collect(body).await?))
    };
    let limit = shared.channel.patience(app);
    let answer = timeout(limit, exchange).await;
    answer.unwrap_or_else(|_| Err(format!("no answer within {limit:?}")))
}

/// Publishes a dropped event to a dead-letter topic.
pub(super) async fn publish_dead_letter(shared: &Shared, pubsub: &str, topic: &str, event: Bytes) -> Outcome {
    let path = format!(
        "/v1.0/publish/{}/{}",
        encode_component(pubsub),
        encode_component(topic)
    );
    let request = Request::post(path)
        .header(CONTENT_TYPE, CLOUD_EVENTS)
        .body(Body::from(event));
    let Ok(request) = request else {
        return Outcome::Done;
    };
    match shared.client.send(request).await {
        Ok(response) if response.status().is_success() => Outcome::Done,
        Ok(response) => Outcome::Retry(format!("the dead-letter topic: {}", response.status())),
        Err(error) => Outcome::Retry(error.message().to_owned()),
    }
}

/// Counts what became of a job or of what a binding brought.
pub(super) fn count(shared: &Shared, app: &AppId, kind: DeliveryKind, answer: &Answer) {
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

/// Collects the body of a callback, or of an answer to one.
pub(super) async fn collect(body: Body) -> Result<Bytes, String> {
    let body = Limited::new(body, MAX_CALLBACK).collect().await;
    body.map(|body| body.to_bytes())
        .map_err(|error| error.to_string())
}

/// Answers the sidecar as the package answered.
pub(super) fn passed_on_answer(answer: Answer) -> Response<Body> {
    match answer {
        Ok((status, body)) => {
            let mut response = Response::new(Body::from(body));
            *response.status_mut() = status;
            response
        }
        Err(reason) => text_answer(StatusCode::SERVICE_UNAVAILABLE, &reason),
    }
}

/// Answers the sidecar with a text.
pub(super) fn text_answer(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(text.to_owned()));
    *response.status_mut() = status;
    response
}

/// Answers the sidecar with JSON.
pub(super) fn json_answer(body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
