//! Messages to publish.

use std::{borrow::Cow, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::dapr::{Error, metadata::Metadata};

/// The content type of an event that brings its own envelope.
const CLOUD_EVENTS: &str = "application/cloudevents+json";
const JSON: &str = "application/json";

/// A message to publish; Dapr puts a CloudEvents envelope around it.
///
/// ```
/// # use std::time::Duration;
/// # use wasmgate_sdk::dapr::pubsub::Message;
/// let placed = Message::json(&serde_json::json!({"id": 7}))
///     .id("order-7-placed") // the same on a second try, so that subscribers can tell
///     .event_type("shop.order.placed.v1")
///     .ttl(Duration::from_secs(600));
/// let picture = Message::bytes([0xff, 0xd8, 0xff]).content_type("image/jpeg");
/// # let _ = (placed, picture);
/// ```
#[derive(Debug)]
#[must_use = "nothing is published until it is sent"]
pub struct Message {
    content_type: Cow<'static, str>,
    /// A value that cannot be written as JSON shows when it is sent.
    body: Result<Vec<u8>, serde_json::Error>,
    metadata: Metadata,
}

impl Message {
    /// A value as JSON.
    pub fn json(value: &(impl Serialize + ?Sized)) -> Self {
        Message::from_encoded(JSON, serde_json::to_vec(value))
    }

    /// Text.
    pub fn text(text: impl Into<String>) -> Self {
        Message::from_encoded("text/plain", Ok(text.into().into_bytes()))
    }

    /// Bytes, as `application/octet-stream` until told otherwise.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Message::from_encoded("application/octet-stream", Ok(bytes.into()))
    }

    /// An event in its CloudEvents envelope, as JSON; Dapr adds only what is missing.
    pub fn cloud_event(envelope: &(impl Serialize + ?Sized)) -> Self {
        Message::from_encoded(CLOUD_EVENTS, serde_json::to_vec(envelope))
    }

    /// Another content type.
    pub fn content_type(mut self, content_type: impl Into<Cow<'static, str>>) -> Self {
        self.content_type = content_type.into();
        self
    }

    /// The event's id; Dapr makes one where nothing is said.
    pub fn id(self, id: impl Into<String>) -> Self {
        self.metadata("cloudevent.id", id)
    }

    /// The event's source; the app-id where nothing is said.
    pub fn source(self, source: impl Into<String>) -> Self {
        self.metadata("cloudevent.source", source)
    }

    /// The event's type, which routing rules look at; `com.dapr.event.sent` where nothing is said.
    pub fn event_type(self, event_type: impl Into<String>) -> Self {
        self.metadata("cloudevent.type", event_type)
    }

    /// Sets the event's subject.
    pub fn subject(self, subject: impl Into<String>) -> Self {
        self.metadata("cloudevent.subject", subject)
    }

    /// The W3C trace context the event belongs to.
    pub fn trace_parent(self, trace_parent: impl Into<String>) -> Self {
        self.metadata("cloudevent.traceparent", trace_parent)
    }

    /// Not delivered any more after this long; whole seconds, rounded up.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.metadata.set_ttl(ttl);
        self
    }

    /// Without an envelope, for subscribers that do not know of CloudEvents.
    pub fn raw_payload(self) -> Self {
        self.metadata("rawPayload", "true")
    }

    /// Metadata for the component, for example `partitionKey`.
    pub fn metadata(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.metadata.set(name, value);
        self
    }

    pub(super) fn into_parts(self) -> Result<(Cow<'static, str>, Vec<u8>, Metadata), Error> {
        Ok((self.content_type, self.body?, self.metadata))
    }

    /// One of a bulk: JSON as it is, text as a string, anything else in base64.
    pub(super) fn into_entry(self, entry_id: String) -> Result<BulkEntry, Error> {
        let body = self.body?;
        let event = if matches!(self.content_type.as_ref(), JSON | CLOUD_EVENTS) {
            serde_json::from_slice(&body)?
        } else if self.content_type.starts_with("text/") {
            let text = String::from_utf8(body).map_err(|_| Error::Invalid("a text message is not UTF-8".to_owned()))?;
            to_raw_value(&text)?
        } else {
            to_raw_value(&BASE64_STANDARD.encode(body))?
        };
        Ok(BulkEntry {
            entry_id,
            event,
            content_type: self.content_type,
            metadata: self.metadata,
        })
    }

    fn from_encoded(content_type: &'static str, body: Result<Vec<u8>, serde_json::Error>) -> Self {
        Message {
            content_type: Cow::Borrowed(content_type),
            body,
            metadata: Metadata::new(),
        }
    }
}

/// One message of a bulk as it stands on the wire.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BulkEntry {
    entry_id: String,
    event: Box<RawValue>,
    content_type: Cow<'static, str>,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    metadata: Metadata,
}
