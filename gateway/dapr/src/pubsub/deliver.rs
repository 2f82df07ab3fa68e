//! One delivery: from queued events to the app's result.

use std::collections::BTreeMap;

use axum::body::{Body, Bytes};
use http::{HeaderName, HeaderValue, Request, StatusCode, header::CONTENT_TYPE};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use wasmgate_common::{is_hop_by_hop, path::with_leading_slash};

use super::{
    PubSub,
    outcome::{BulkAnswer, Outcome, by_word, outcome},
};
use crate::{
    app::DeliveryFailure,
    broker::{Queue, queue::Delivery},
    components::{ComponentType, Policy},
    event::{CLOUD_EVENTS, Envelope, Metadata, base64, wrap_raw},
};

/// The envelope that `queue`'s app gets for a queued event.
pub(crate) fn envelope(queue: &Queue, delivery: &Delivery) -> Bytes {
    let event = &delivery.event;
    // Published without an envelope, an object passes for one, as in Dapr. What else it may be gets one here.
    let is_object = || serde_json::from_slice::<Envelope>(&event.data).is_ok();
    if !queue.subscription.raw && (!event.raw || is_object()) {
        return event.data.clone();
    }
    wrap_raw(event, delivery.id).to_string().into()
}

/// The policy of what `queue`'s component delivers to its app.
fn policy(block: &PubSub, queue: &Queue) -> Policy {
    let (app, pubsub) = (&queue.subscription.app, &queue.subscription.pubsub);
    let components = block.components.load();
    components
        .resiliency
        .inbound(app, ComponentType::PubSub, pubsub)
}

/// Delivers events to `path`, each by itself or all at once, as far as the circuit breaker lets them pass; answers for
/// each in turn. What it refuses waits as for an app that cannot be reached, and has not failed.
pub(crate) async fn deliver(block: &PubSub, queue: &Queue, path: &str, events: &[(Delivery, Bytes)]) -> Vec<Outcome> {
    let (app, policy) = (&queue.subscription.app, policy(block, queue));
    let bulk = queue.subscription.bulk.is_some();
    let at_once = if bulk { events.len().max(1) } else { 1 };
    let mut outcomes = Vec::with_capacity(events.len());
    for some in events.chunks(at_once) {
        let passed = match policy.pass(app, &queue.subscription.pubsub) {
            Ok(passed) => passed,
            Err(refused) => {
                outcomes.extend(
                    some.iter()
                        .map(|_| Outcome::Unreachable(refused.to_string())),
                );
                continue;
            }
        };
        let ended = match some {
            [event] if !bulk => vec![single(block, queue, path, event).await],
            events => self::bulk(block, queue, path, events).await,
        };
        if let Some(passed) = passed {
            let failed = |outcome: &Outcome| matches!(outcome, Outcome::Retry(_) | Outcome::Unreachable(_));
            passed.end(!ended.iter().any(failed));
        }
        outcomes.extend(ended);
    }
    outcomes
}

/// Delivers one event to `path`.
async fn single(block: &PubSub, queue: &Queue, path: &str, (delivery, event): &(Delivery, Bytes)) -> Outcome {
    let answer = post(block, queue, path, event.clone(), Some(delivery)).await;
    match answer {
        Ok((status, body)) => outcome(status, &body),
        Err(failure) => failed(failure),
    }
}

/// Delivers several events to `path` at once; answers for each in turn.
async fn bulk(block: &PubSub, queue: &Queue, path: &str, events: &[(Delivery, Bytes)]) -> Vec<Outcome> {
    let body = match bulk_body(queue, events) {
        Ok(body) => body,
        Err(error) => return vec![Outcome::Park(error.to_string()); events.len()],
    };
    let everyone = |outcome: Outcome| vec![outcome; events.len()];
    match post(block, queue, path, body, None).await {
        Err(failure) => everyone(failed(failure)),
        Ok((status, _)) if !status.is_success() => everyone(outcome(status, b"")),
        Ok((_, body)) => {
            let Ok(answer) = serde_json::from_slice::<BulkAnswer>(&body) else {
                return everyone(Outcome::Retry("the answer has no statuses".to_owned()));
            };
            let words = answer.into_words();
            let each = events
                .iter()
                .map(|(delivery, _)| match words.get(&delivery.id.to_string()) {
                    Some(status) if !status.is_empty() => by_word(status),
                    _ => Outcome::Retry("the answer does not mention it".to_owned()),
                });
            each.collect()
        }
    }
}

/// A bulk's body, as Dapr's: the metadata of the delivery, and each event with its own.
fn bulk_body(queue: &Queue, events: &[(Delivery, Bytes)]) -> Result<Bytes, serde_json::Error> {
    let (_, pubsub, topic) = queue.subscription.key();
    let raw = queue.subscription.raw;
    let mut entries = Vec::with_capacity(events.len());
    for (delivery, envelope) in events {
        let event = match raw {
            true => to_raw_value(&base64(&delivery.event.data))?,
            false => serde_json::from_slice(envelope)?,
        };
        entries.push(BulkEntry {
            entry_id: delivery.id.to_string(),
            event,
            content_type: if raw {
                "application/octet-stream"
            } else {
                CLOUD_EVENTS
            },
            metadata: &delivery.event.metadata,
        });
    }
    let body = serde_json::to_vec(&Bulk {
        id: uuid::Uuid::new_v4().to_string(),
        entries,
        metadata: [("pubsubName", pubsub)].into(),
        pubsubname: pubsub,
        topic,
        kind: "com.dapr.event.sent.bulk",
    });
    body.map(Bytes::from)
}

#[derive(Serialize)]
struct Bulk<'a> {
    id: String,
    entries: Vec<BulkEntry<'a>>,
    metadata: BTreeMap<&'a str, &'a str>,
    pubsubname: &'a str,
    topic: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BulkEntry<'a> {
    entry_id: String,
    event: Box<RawValue>,
    content_type: &'a str,
    metadata: &'a Metadata,
}

async fn post(
    block: &PubSub,
    queue: &Queue,
    path: &str,
    body: Bytes,
    delivery: Option<&Delivery>,
) -> Result<(StatusCode, Bytes), DeliveryFailure> {
    let subscription = &queue.subscription;
    let mut request = Request::post(with_leading_slash(path)).header(
        CONTENT_TYPE,
        if delivery.is_some() {
            CLOUD_EVENTS
        } else {
            "application/json"
        },
    );
    if let Some(delivery) = delivery {
        for (name, value) in headers_of(&delivery.event.metadata) {
            request = request.header(name, value);
        }
        let trace = [
            ("traceparent", &delivery.event.traceparent),
            ("tracestate", &delivery.event.tracestate),
        ];
        for (name, value) in trace {
            if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
                request = request.header(name, value);
            }
        }
    }
    let request = request
        .header("pubsubname", &subscription.pubsub)
        .body(Body::from(body))
        .map_err(|error| DeliveryFailure::Failed(format!("route {path:?}: {error}")))?;
    let policy = policy(block, queue);
    block
        .apps
        .deliver_whole(&subscription.app, request, policy.timeout)
        .await
}

/// Publish metadata as headers, but for what is no header and what says something of the delivery itself.
fn headers_of(metadata: &Metadata) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    metadata.iter().filter_map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        let value = HeaderValue::from_str(value).ok()?;
        (!is_reserved(name.as_str())).then_some((name, value))
    })
}

fn is_reserved(name: &str) -> bool {
    const PREFIXES: [&str; 5] = ["content-", "dapr-", "proxy-", "x-forwarded-", "x-wasmgate-"];
    const NAMES: [&str; 9] = [
        "authorization",
        "cookie",
        "expect",
        "forwarded",
        "host",
        "pubsubname",
        "traceparent",
        "tracestate",
        "x-request-id",
    ];
    PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || NAMES.contains(&name) || is_hop_by_hop(name)
}

fn failed(failure: DeliveryFailure) -> Outcome {
    match failure {
        DeliveryFailure::Unreachable(reason) => Outcome::Unreachable(reason),
        DeliveryFailure::Failed(reason) => Outcome::Retry(reason),
    }
}
