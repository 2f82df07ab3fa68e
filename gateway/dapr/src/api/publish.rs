//! Publishing, one event or many.

use std::collections::HashMap;

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    call::{Call, bytes, json, json_answer, no_content, or_default, store_error},
    change::expiry,
};
use crate::{
    components::find,
    error::{ApiError, ApiResult},
    event::{self, Event, Publication},
};
use axum::body::Body;

const FAILED: &str = "ERR_PUBSUB_PUBLISH_MESSAGE";

/// Events of one bulk publish at most: they are one transaction.
const MAX_EVENTS: usize = 10_000;

pub(super) async fn publish(call: &Call<'_>, body: Body, pubsub: &str, topic: &str) -> ApiResult {
    check(call, pubsub, topic)?;
    let body = bytes(body).await?;
    let content_type = call
        .header("content-type")
        .unwrap_or("text/plain")
        .to_owned();
    let metadata = call.metadata();
    let event = make(call, (pubsub, topic), &content_type, &metadata, &body)
        .map_err(|message| ApiError::new(400, "ERR_PUBSUB_CLOUD_EVENTS_SER", message))?;
    let published = call.runtime.publish(vec![event]).await;
    published.map_err(|error| store_error(FAILED, &error))?;
    no_content()
}

pub(super) async fn bulk(call: &Call<'_>, body: Body, pubsub: &str, topic: &str) -> ApiResult {
    check(call, pubsub, topic)?;
    let body = bytes(body).await?;
    let entries: Vec<Entry> = json(&body)?;
    if entries.len() > MAX_EVENTS {
        return Err(ApiError::malformed(format!(
            "more than {MAX_EVENTS} events in one call"
        )));
    }
    let common = call.metadata();
    let (mut events, mut failed) = (Vec::new(), Vec::new());
    let mut seen = std::collections::HashSet::new();
    for entry in &entries {
        if entry.entry_id.is_empty() || !seen.insert(&entry.entry_id) {
            let message = format!("entryId {:?} is missing or given twice", entry.entry_id);
            return Err(ApiError::new(400, "ERR_PUBSUB_EVENTS_SER", message));
        }
        let mut metadata: Vec<(String, String)> = common.clone();
        metadata.extend(entry.metadata.clone());
        let content_type = entry.content_type.as_deref().unwrap_or("text/plain");
        let body = entry.bytes(content_type);
        match make(call, (pubsub, topic), content_type, &metadata, &body) {
            Ok(event) => events.push(event),
            Err(message) => failed.push(json!({"entryId": entry.entry_id, "error": message})),
        }
    }
    if let Err(error) = call.runtime.publish(events).await {
        let error = store_error(FAILED, &error);
        failed = entries
            .iter()
            .map(|entry| json!({"entryId": entry.entry_id, "error": error.message()}))
            .collect();
    }
    if failed.is_empty() {
        return no_content();
    }
    let body = json!({"failedEntries": failed, "errorCode": FAILED});
    let mut response = json_answer(body.to_string())?;
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    Ok(response)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    // The JavaScript SDK's spelling: the sidecar does not look at case.
    #[serde(alias = "entryID")]
    entry_id: String,
    #[serde(default, deserialize_with = "or_default")]
    event: Value,
    #[serde(default)]
    content_type: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    metadata: HashMap<String, String>,
}

impl Entry {
    /// The event's bytes: JSON as it is if that is its type, otherwise the text it holds, which
    /// for bytes is base64.
    fn bytes(&self, content_type: &str) -> Vec<u8> {
        let media = event::media_type(content_type);
        match &self.event {
            Value::String(text) if media == "application/octet-stream" => {
                event::unbase64(text).unwrap_or_else(|| text.as_bytes().to_vec())
            }
            Value::String(text) if !media.ends_with("json") => text.as_bytes().to_vec(),
            other => other.to_string().into_bytes(),
        }
    }
}

fn check(call: &Call<'_>, pubsub: &str, topic: &str) -> Result<(), ApiError> {
    if call.runtime.components.pubsub.is_empty() {
        let message = "no pub/sub is configured; add a component of type pubsub.in-memory";
        return Err(ApiError::new(400, "ERR_PUBSUB_NOT_CONFIGURED", message));
    }
    let Some(component) = find(&call.runtime.components.pubsub, pubsub, call.caller) else {
        let message = format!("pubsub {pubsub:?} is not found");
        return Err(ApiError::new(404, "ERR_PUBSUB_NOT_FOUND", message));
    };
    if topic.is_empty() {
        let message = format!("the topic is empty in a publish to {pubsub:?}");
        return Err(ApiError::new(404, "ERR_TOPIC_NAME_EMPTY", message));
    }
    if !component.it.may_publish(call.caller, topic) {
        let message = format!(
            "topic {topic:?} is not allowed for app {} by its component",
            call.caller
        );
        return Err(ApiError::new(403, "ERR_PUBSUB_FORBIDDEN", message));
    }
    Ok(())
}

fn make(
    call: &Call<'_>,
    (pubsub, topic): (&str, &str),
    content_type: &str,
    metadata: &[(String, String)],
    body: &[u8],
) -> Result<Event, String> {
    let of = |name: &str| {
        let found = metadata
            .iter()
            .rev()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    };
    let raw = of("rawPayload").is_some_and(|value| value == "true");
    let ttl = of("ttlInSeconds")
        .map(|ttl| expiry(ttl, FAILED))
        .transpose();
    let expires_at = ttl.map_err(|error| error.message().to_owned())?.flatten();
    let traceparent =
        of("cloudevent.traceparent").map_or_else(|| call.traceparent(), str::to_owned);
    let tracestate = call.header("tracestate").unwrap_or_default().to_owned();
    let data = if raw {
        body.to_vec()
    } else {
        let overrides = metadata
            .iter()
            .filter_map(|(key, value)| Some((key.strip_prefix("cloudevent.")?, value.as_str())));
        let publication = Publication {
            source: call.caller.as_str(),
            pubsub,
            topic,
            content_type,
            traceparent: &traceparent,
            tracestate: &tracestate,
            overrides: overrides.collect(),
        };
        let envelope = event::wrap(&publication, body).map_err(|error| error.to_string())?;
        envelope.to_string().into_bytes()
    };
    Ok(Event {
        pubsub: pubsub.to_owned(),
        topic: topic.to_owned(),
        data: data.into(),
        content_type: content_type.to_owned(),
        raw,
        traceparent: Some(traceparent),
        tracestate: Some(tracestate),
        expires_at,
    })
}
