//! Events and their CloudEvents envelope, as Dapr's sidecar makes it.

use axum::body::Bytes;
use serde_json::{Map, Value, json};

use crate::time::{now_ms, rfc3339};

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
}

/// Who publishes what, where to: all that an envelope says.
pub(crate) struct Publication<'a> {
    pub(crate) source: &'a str,
    pub(crate) pubsub: &'a str,
    pub(crate) topic: &'a str,
    pub(crate) content_type: &'a str,
    pub(crate) traceparent: &'a str,
    pub(crate) tracestate: &'a str,
    /// `cloudevent.*` of the publish metadata, without that prefix.
    pub(crate) overrides: Vec<(&'a str, &'a str)>,
}

/// Why a body is no event.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WrapError {
    #[error("the body is not JSON, though its content type says so: {0}")]
    NotJson(#[from] serde_json::Error),
    #[error("a CloudEvent must be a JSON object")]
    NotAnObject,
}

/// The envelope of `body`: made new, or completed if the body already is a CloudEvent.
pub(crate) fn wrap(publication: &Publication<'_>, body: &[u8]) -> Result<Value, WrapError> {
    let media = media_type(publication.content_type);
    let is_event = media == CLOUD_EVENTS;
    let mut event = if is_event {
        match serde_json::from_slice(body)? {
            Value::Object(event) => event,
            _ => return Err(WrapError::NotAnObject),
        }
    } else {
        let mut event = Map::new();
        if media == "application/json" || media.ends_with("+json") {
            event.insert("data".into(), serde_json::from_slice(body)?);
        } else if media == "application/octet-stream" {
            event.insert("data_base64".into(), base64(body).into());
        } else {
            event.insert("data".into(), String::from_utf8_lossy(body).into());
        }
        event.insert("datacontenttype".into(), publication.content_type.into());
        event
    };
    event.insert("topic".into(), publication.topic.into());
    event.insert("pubsubname".into(), publication.pubsub.into());
    for name in ["id", "specversion", "source", "type", "time"] {
        let value = match name {
            "id" => uuid::Uuid::new_v4().to_string(),
            "specversion" => "1.0".to_owned(),
            "source" => publication.source.to_owned(),
            "type" => "com.dapr.event.sent".to_owned(),
            _ => rfc3339(now_ms()),
        };
        event.entry(name).or_insert_with(|| value.into());
    }
    for (name, value) in [
        ("traceparent", publication.traceparent),
        ("tracestate", publication.tracestate),
    ] {
        if !event.contains_key(name) {
            event.insert(name.into(), value.into());
        }
    }
    let trace = event.get("traceparent").cloned().unwrap_or_default();
    event.entry("traceid").or_insert(trace);
    for (name, value) in &publication.overrides {
        if *name == "traceparent" {
            event.insert("traceid".into(), (*value).into());
        }
        event.insert((*name).to_owned(), (*value).into());
    }
    Ok(Value::Object(event))
}

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

/// A `traceparent` for a call that came without one (W3C Trace Context, not sampled).
pub(crate) fn new_traceparent() -> String {
    let span = uuid::Uuid::new_v4().as_u64_pair().0;
    format!("00-{}-{span:016x}-00", uuid::Uuid::new_v4().simple())
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

pub(crate) fn unbase64(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publication(content_type: &str) -> Publication<'_> {
        Publication {
            source: "shop",
            pubsub: "pubsub",
            topic: "orders",
            content_type,
            traceparent: "00-1-2-01",
            tracestate: "",
            overrides: Vec::new(),
        }
    }

    #[test]
    fn json_becomes_parsed_data_and_bytes_become_base64() {
        let json = wrap(&publication("application/json"), br#"{"a":1}"#).unwrap();
        assert_eq!(json["data"], json!({"a": 1}));
        assert_eq!(json["source"], "shop");
        assert_eq!(json["traceid"], "00-1-2-01");
        let bytes = wrap(&publication("application/octet-stream"), &[0, 255]).unwrap();
        assert_eq!(bytes["data_base64"], "AP8=");
        let text = wrap(&publication("text/plain; charset=utf-8"), b"hi").unwrap();
        assert_eq!(text["data"], "hi");
    }

    #[test]
    fn a_cloud_event_keeps_its_fields_and_gets_topic_and_pubsub() {
        let body = br#"{"id":"7","source":"me","type":"t","data":1,"topic":"other"}"#;
        let event = wrap(&publication("application/cloudevents+json"), body).unwrap();
        assert_eq!(
            (&event["id"], &event["source"], &event["type"]),
            (&json!("7"), &json!("me"), &json!("t"))
        );
        assert_eq!(event["topic"], "orders");
        assert_eq!(event["specversion"], "1.0");
    }

    #[test]
    fn metadata_overrides_the_envelope() {
        let mut publication = publication("text/plain");
        publication.overrides.push(("type", "special"));
        assert_eq!(wrap(&publication, b"x").unwrap()["type"], "special");
    }

    #[test]
    fn broken_json_is_refused() {
        assert!(wrap(&publication("application/json"), b"{").is_err());
        assert!(wrap(&publication("application/cloudevents+json"), b"[1]").is_err());
    }
}
