//! Events and their CloudEvents envelope.

mod encoding;
mod envelope;

use std::collections::BTreeMap;

use axum::body::Bytes;
use serde_json::{Value, json};

pub(crate) use encoding::{base64, lenient_unbase64, unbase64};
pub(crate) use envelope::{Envelope, Publication, json_of, set, wrap};

/// The content type of a CloudEvent in JSON.
pub(crate) const CLOUD_EVENTS: &str = "application/cloudevents+json";

/// An event as it is queued.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) pubsub: String,
    pub(crate) topic: String,
    /// The envelope's JSON, or the raw payload.
    pub(crate) data: Bytes,
    pub(crate) content_type: String,
    /// Published with `rawPayload`: there is no envelope.
    pub(crate) raw: bool,
    pub(crate) traceparent: Option<String>,
    pub(crate) tracestate: Option<String>,
    /// Milliseconds since 1970.
    pub(crate) expires_at: Option<i64>,
    /// The publish metadata; deliveries have it as headers.
    pub(crate) metadata: Metadata,
}

/// Publish metadata by name.
pub(crate) type Metadata = BTreeMap<String, String>;

/// The envelope around a payload that was published without one.
pub(crate) fn wrap_raw(event: &Event, id: i64) -> Value {
    json!({
        "id": format!("{}-{id}", event.topic), "specversion": "1.0", "source": "Dapr",
        "type": "com.dapr.event.sent", "datacontenttype": "application/octet-stream",
        "topic": event.topic, "pubsubname": event.pubsub, "data_base64": base64(&event.data),
    })
}

/// `text/plain; charset=utf-8` without its parameters, in lower case.
pub(crate) fn media_type(content_type: &str) -> String {
    content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
}
