//! Publishing, one event or many.

use std::collections::HashSet;

use http::StatusCode;
use serde_json::{json, value::RawValue};

use super::{call::Call, change::expiry};
use crate::{
    components::find,
    error::{ApiError, ApiResult},
    event::{self, Event, Metadata, Publication},
    protocol::{
        body::{self, forms::BulkEntry},
        message::{bytes, json_answer, no_content},
    },
    store::store_error,
    time::rfc3339,
};
use axum::body::Body;

const FAILED: &str = "ERR_PUBSUB_PUBLISH_MESSAGE";
const METADATA: &str = "ERR_PUBSUB_REQUEST_METADATA";

/// The metadata of an event at most, in bytes: it becomes headers.
const MAX_METADATA: usize = 8 * 1024;

/// Events of one bulk publish at most: they are one transaction.
const MAX_EVENTS: usize = 10_000;

pub(super) async fn publish(call: &Call<'_>, body: Body, pubsub: &str, topic: &str) -> ApiResult {
    check(call, pubsub, topic)?;
    let body = bytes(body).await?;
    let content_type = call.header("content-type").unwrap_or_default();
    let event = make(
        call,
        (pubsub, topic),
        content_type,
        metadata(call, None)?,
        &body,
    )?;
    let published = call.runtime.publish(vec![event]).await;
    published.map_err(|error| store_error(FAILED, &error))?;
    no_content()
}

pub(super) async fn bulk(call: &Call<'_>, body: Body, pubsub: &str, topic: &str) -> ApiResult {
    check(call, pubsub, topic)?;
    let body = bytes(body).await?;
    let wrong = |message: String| ApiError::new(400, "ERR_PUBSUB_EVENTS_SER", message);
    let entries: Vec<BulkEntry> = body::go(&body).map_err(|error| {
        wrong(format!(
            "the body is no list of events: {}",
            error.message()
        ))
    })?;
    if entries.len() > MAX_EVENTS {
        return Err(ApiError::malformed(format!(
            "more than {MAX_EVENTS} events in one call"
        )));
    }
    let mut seen = HashSet::new();
    let mut events = Vec::new();
    for entry in &entries {
        let id = &entry.entry_id;
        if id.is_empty() || !seen.insert(id) {
            return Err(wrong(format!("entryId {id:?} is missing or given twice")));
        }
        let body = entry
            .bytes()
            .map_err(|message| wrong(format!("entry {id:?}: {message}")))?;
        let metadata = metadata(call, Some(&entry.metadata))?;
        events.push(make(
            call,
            (pubsub, topic),
            &entry.content_type,
            metadata,
            &body,
        )?);
    }
    let Err(error) = call.runtime.publish(events).await else {
        return no_content();
    };
    let error = store_error(FAILED, &error);
    let failed = entries
        .iter()
        .map(|entry| json!({"entryId": entry.entry_id, "error": error.message()}));
    let body = json!({"failedEntries": failed.collect::<Vec<_>>(), "errorCode": FAILED});
    let mut response = json_answer(body.to_string())?;
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    Ok(response)
}

impl BulkEntry {
    /// The event's bytes by its content type, of which Dapr knows four kinds.
    fn bytes(&self) -> Result<Vec<u8>, String> {
        let event = self.event.as_deref().map_or("null", RawValue::get);
        let media = event::media_type(&self.content_type);
        let text = || serde_json::from_str::<String>(event).map_err(|_| format!("{media} is for a text"));
        match media.as_str() {
            "application/json" | event::CLOUD_EVENTS => Ok(event.as_bytes().to_vec()),
            "application/octet-stream" => event::unbase64(&text()?).ok_or_else(|| "its text is not base64".to_owned()),
            "application/xml" => Ok(text()?.into_bytes()),
            media if media.starts_with("text/") => Ok(text()?.into_bytes()),
            "" => Err("give its contentType".to_owned()),
            other => Err(format!(
                "contentType {other:?} is not one for bulks; write application/json, application/cloudevents+json, \
                 application/octet-stream or text/plain"
            )),
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
    if !component.it.may_publish(call.caller, topic) {
        let message = format!(
            "topic {topic:?} is not allowed for app {} by its component",
            call.caller
        );
        return Err(ApiError::new(403, "ERR_PUBSUB_FORBIDDEN", message));
    }
    Ok(())
}

/// The metadata of one event: the call's, and before it the entry's.
fn metadata(call: &Call<'_>, entry: Option<&Metadata>) -> Result<Metadata, ApiError> {
    let mut metadata = Metadata::new();
    for (name, value) in call.metadata() {
        // The first counts, as in Dapr.
        metadata.entry(name).or_insert(value);
    }
    metadata.extend(
        entry
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.clone(), value.clone())),
    );
    let length: usize = metadata
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if length > MAX_METADATA {
        let message = format!("the metadata of an event is longer than {MAX_METADATA} bytes; put it into the event");
        return Err(ApiError::new(400, METADATA, message));
    }
    Ok(metadata)
}

fn make(
    call: &Call<'_>,
    (pubsub, topic): (&str, &str),
    content_type: &str,
    metadata: Metadata,
    body: &[u8],
) -> Result<Event, ApiError> {
    let of = |name: &str| {
        let found = metadata
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    };
    let raw = flag(of("rawPayload"))?;
    let expires_at = of("ttlInSeconds").map(|ttl| expiry(ttl, METADATA));
    let expires_at = expires_at
        .transpose()
        .map_err(|error| ApiError::new(400, METADATA, error.message()))?
        .flatten();
    let (traceparent, tracestate) = call.trace();
    let publication = Publication {
        source: call.caller.as_str(),
        pubsub,
        topic,
        content_type,
        traceparent: &traceparent,
        tracestate,
        metadata: &metadata,
    };
    let data = if raw {
        body.to_vec().into()
    } else {
        let envelope = event::wrap(&publication, body).and_then(|mut event| {
            if let Some(at) = expires_at {
                let at = serde_json::value::to_raw_value(&rfc3339(at))?;
                event.insert("expiration".to_owned(), at);
            }
            Ok(event::json_of(&event)?)
        });
        envelope.map_err(|error| ApiError::new(400, "ERR_PUBSUB_CLOUD_EVENTS_SER", error.to_string()))?
    };
    let traceparent = publication
        .overridden("traceparent")
        .unwrap_or(&traceparent)
        .to_owned();
    Ok(Event {
        pubsub: pubsub.to_owned(),
        topic: topic.to_owned(),
        data,
        content_type: content_type.to_owned(),
        raw,
        traceparent: Some(traceparent),
        tracestate: Some(tracestate.to_owned()),
        expires_at,
        metadata,
    })
}

/// A flag as Go reads it.
fn flag(text: Option<&str>) -> Result<bool, ApiError> {
    match text {
        None | Some("0" | "f" | "F" | "false" | "False" | "FALSE") => Ok(false),
        Some("1" | "t" | "T" | "true" | "True" | "TRUE") => Ok(true),
        Some(other) => {
            let message = format!("rawPayload {other:?} is neither true nor false");
            Err(ApiError::new(400, METADATA, message))
        }
    }
}
