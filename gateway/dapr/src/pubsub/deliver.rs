//! One delivery: from queued events to what the app made of them.

use std::{collections::HashMap, sync::Arc};

use axum::body::{Body, Bytes};
use http::{Request, StatusCode, header::CONTENT_TYPE};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Queue;
use crate::{
    event::{CLOUD_EVENTS, wrap_raw},
    runtime::{DeliveryFailure, Runtime},
    store::queue::Delivery,
};

/// What is to become of a queued event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Taken.
    Done,
    /// Not delivered, since its time to live has passed.
    Expired,
    /// Failed; to be tried again.
    Retry(String),
    /// Refused for good; to the dead-letter topic if there is one.
    Drop(String),
    /// Where it goes cannot be told; it stays for an operator.
    Park(String),
    /// The app could not be reached, which is no failure of the app with this event.
    Unreachable(String),
}

/// The envelope that `queue`'s app gets for a queued event.
pub(crate) fn envelope(queue: &Queue, delivery: &Delivery) -> Bytes {
    let event = &delivery.event;
    // Published without an envelope, it may still be one: then it passes as it is.
    let is_envelope = || {
        let value = serde_json::from_slice::<Value>(&event.data);
        value.is_ok_and(|value| value.get("specversion").is_some())
    };
    if !queue.subscription.raw && (!event.raw || is_envelope()) {
        return event.data.clone();
    }
    wrap_raw(event, delivery.id).to_string().into()
}

/// Delivers one event to `path`.
pub(crate) async fn single(
    runtime: &Arc<Runtime>,
    queue: &Queue,
    path: &str,
    (delivery, event): &(Delivery, Bytes),
) -> Outcome {
    let answer = post(runtime, queue, path, event.clone(), Some(delivery)).await;
    match answer {
        Ok((status, body)) => outcome(status, &body),
        Err(failure) => failed(failure),
    }
}

/// Delivers several events to `path` at once; answers for each in turn.
pub(crate) async fn bulk(
    runtime: &Arc<Runtime>,
    queue: &Queue,
    path: &str,
    events: &[(Delivery, Bytes)],
) -> Vec<Outcome> {
    let (_, pubsub, topic) = queue.subscription.key();
    let entries: Vec<Value> = events
        .iter()
        .map(|(delivery, event)| {
            let event: Value = serde_json::from_slice(event).unwrap_or_default();
            json!({"entryId": delivery.id.to_string(), "event": event,
                   "contentType": CLOUD_EVENTS, "metadata": {"pubsubName": pubsub}})
        })
        .collect();
    let body = json!({
        "id": uuid::Uuid::new_v4().to_string(), "entries": entries, "metadata": {},
        "pubsubname": pubsub, "topic": topic, "type": "com.dapr.event.sent.bulk",
    });
    let everyone = |outcome: Outcome| vec![outcome; events.len()];
    match post(runtime, queue, path, body.to_string().into(), None).await {
        Err(failure) => everyone(failed(failure)),
        Ok((status, _)) if !status.is_success() => everyone(outcome(status, b"")),
        Ok((_, body)) => {
            let Ok(answer) = serde_json::from_slice::<BulkAnswer>(&body) else {
                return everyone(Outcome::Done);
            };
            let statuses: HashMap<String, String> = answer
                .statuses
                .into_iter()
                .map(|status| (status.entry_id, status.status))
                .collect();
            let each =
                events.iter().map(
                    |(delivery, _)| match statuses.get(&delivery.id.to_string()) {
                        Some(status) => by_word(status),
                        None => Outcome::Retry("the answer does not mention it".to_owned()),
                    },
                );
            each.collect()
        }
    }
}

#[derive(Deserialize)]
struct BulkAnswer {
    statuses: Vec<BulkStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BulkStatus {
    #[serde(alias = "entryID")]
    entry_id: String,
    status: String,
}

async fn post(
    runtime: &Arc<Runtime>,
    queue: &Queue,
    path: &str,
    body: Bytes,
    delivery: Option<&Delivery>,
) -> Result<(StatusCode, Bytes), DeliveryFailure> {
    let subscription = &queue.subscription;
    let mut request =
        Request::post(crate::runtime::as_path(path)).header(CONTENT_TYPE, CLOUD_EVENTS);
    if let Some(delivery) = delivery {
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
        .body(Body::from(body))
        .map_err(|error| DeliveryFailure::Failed(format!("route {path:?}: {error}")))?;
    let policy = runtime
        .components
        .resiliency
        .inbound(&subscription.app, &subscription.pubsub);
    runtime
        .deliver_whole(&subscription.app, request, policy.timeout)
        .await
}

fn failed(failure: DeliveryFailure) -> Outcome {
    match failure {
        DeliveryFailure::Unreachable(reason) => Outcome::Unreachable(reason),
        DeliveryFailure::Failed(reason) => Outcome::Retry(reason),
    }
}

/// What Dapr reads from the answer to an event.
pub(crate) fn outcome(status: StatusCode, body: &[u8]) -> Outcome {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        status: String,
    }
    match status {
        status if status.is_success() => match serde_json::from_slice::<Answer>(body) {
            Ok(answer) => by_word(&answer.status),
            Err(_) => Outcome::Done,
        },
        StatusCode::NOT_FOUND => Outcome::Drop("the app has no such route (404)".to_owned()),
        status => Outcome::Retry(format!("the app answered {}", status.as_u16())),
    }
}

fn by_word(status: &str) -> Outcome {
    match status {
        "" | "SUCCESS" => Outcome::Done,
        "DROP" => Outcome::Drop("the app dropped it".to_owned()),
        "RETRY" => Outcome::Retry("the app asked for a retry".to_owned()),
        other => Outcome::Retry(format!("the app answered the unknown status {other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16, body: &str) -> &'static str {
        match outcome(StatusCode::from_u16(status).unwrap(), body.as_bytes()) {
            Outcome::Done => "done",
            Outcome::Expired => "expired",
            Outcome::Retry(_) => "retry",
            Outcome::Drop(_) => "drop",
            Outcome::Park(_) => "park",
            Outcome::Unreachable(_) => "unreachable",
        }
    }

    #[test]
    fn answers_are_read_as_the_sidecar_reads_them() {
        assert_eq!(kind(200, ""), "done");
        assert_eq!(kind(204, "not json"), "done");
        assert_eq!(kind(200, r#"{"status":"SUCCESS"}"#), "done");
        assert_eq!(kind(200, r#"{"status":"RETRY"}"#), "retry");
        assert_eq!(kind(200, r#"{"status":"DROP"}"#), "drop");
        assert_eq!(kind(200, r#"{"status":"OTHER"}"#), "retry");
        assert_eq!(kind(404, ""), "drop");
        assert_eq!(kind(500, ""), "retry");
        assert_eq!(kind(400, ""), "retry");
    }
}
