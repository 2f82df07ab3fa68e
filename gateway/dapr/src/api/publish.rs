//! Publishing, one event or many.

use std::collections::HashSet;

use axum::body::Body;
use http::StatusCode;
use serde_json::{json, value::RawValue};

use super::call::Call;
use crate::{
    error::{ApiError, ApiResult, Refused},
    event::{self, Metadata},
    protocol::{
        body::{self, forms::BulkEntry},
        message::{bytes, json_answer, no_content},
    },
    pubsub::Publisher,
    store::store_error,
};

const FAILED: &str = "ERR_PUBSUB_PUBLISH_MESSAGE";
const METADATA: &str = "ERR_PUBSUB_REQUEST_METADATA";

/// The metadata of an event at most, in bytes: it becomes headers.
const MAX_METADATA: usize = 8 * 1024;

/// Events of one bulk publish at most: they are one transaction.
const MAX_EVENTS: usize = 10_000;

/// The events of one bulk publish at most, in bytes: each has an envelope, and the call's metadata beside its own.
const MAX_BULK: usize = 16 * 1024 * 1024;

pub(super) async fn publish(call: &Call<'_>, body: Body, pubsub: &str, topic: &str) -> ApiResult {
    call.api.pubsub.check(call.caller, pubsub, topic)?;
    let body = bytes(body).await?;
    let content_type = call.header("content-type").unwrap_or_default();
    let event = publisher(call, pubsub, topic).event(content_type, metadata(call, None)?, &body)?;
    let published = call.api.pubsub.publish(call.caller, vec![event]).await;
    published.map_err(|error| store_error(FAILED, &error))?;
    no_content()
}

pub(super) async fn bulk(call: &Call<'_>, body: Body, pubsub: &str, topic: &str) -> ApiResult {
    call.api.pubsub.check(call.caller, pubsub, topic)?;
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
    let (mut events, mut bytes) = (Vec::new(), 0);
    for entry in &entries {
        let id = &entry.entry_id;
        if id.is_empty() || !seen.insert(id) {
            return Err(wrong(format!("entryId {id:?} is missing or given twice")));
        }
        let body = entry
            .bytes()
            .map_err(|message| wrong(format!("entry {id:?}: {message}")))?;
        let metadata = metadata(call, Some(&entry.metadata))?;
        let event = publisher(call, pubsub, topic).event(&entry.content_type, metadata, &body)?;
        bytes += event.data.len() + length_of(&event.metadata);
        if bytes > MAX_BULK {
            let message = format!(
                "the events of one call are longer than {MAX_BULK} bytes with their envelopes and metadata; send fewer"
            );
            return Err(ApiError::new(413, "ERR_BODY_TOO_LARGE", message));
        }
        events.push(event);
    }
    let Err(error) = call.api.pubsub.publish(call.caller, events).await else {
        return no_content();
    };
    let error = store_error(FAILED, &error);
    let code = error.code();
    let failed = entries
        .iter()
        .map(|entry| json!({"entryId": entry.entry_id, "error": error.message()}));
    let body = json!({"failedEntries": failed.collect::<Vec<_>>(), "errorCode": code});
    let mut response = json_answer(body.to_string())?;
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    if !error.is_failure() {
        *response.status_mut() = error.status();
        response.extensions_mut().insert(Refused);
    }
    Ok(response)
}

fn publisher<'a>(call: &'a Call<'_>, pubsub: &'a str, topic: &'a str) -> Publisher<'a> {
    Publisher {
        app: call.caller,
        pubsub,
        topic,
        trace: call.trace(),
    }
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

fn length_of(metadata: &Metadata) -> usize {
    let lengths = metadata
        .iter()
        .map(|(name, value)| name.len() + value.len());
    lengths.sum()
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
    if length_of(&metadata) > MAX_METADATA {
        let message = format!("the metadata of an event is longer than {MAX_METADATA} bytes; put it into the event");
        return Err(ApiError::new(400, METADATA, message));
    }
    Ok(metadata)
}
