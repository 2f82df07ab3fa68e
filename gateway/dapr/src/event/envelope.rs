//! The CloudEvents envelope, as Dapr's sidecar makes it.

use std::collections::BTreeMap;

use axum::body::Bytes;
use serde_json::value::{RawValue, to_raw_value};

use super::{CLOUD_EVENTS, Metadata, encoding::base64, media_type};
use crate::time::{now_ms, rfc3339};

/// An envelope's attributes. Values are as they were written, so that numbers keep their digits.
pub(crate) type Envelope = BTreeMap<String, Box<RawValue>>;

/// The publication of an event: all that its envelope says.
pub(crate) struct Publication<'a> {
    pub(crate) source: &'a str,
    pub(crate) pubsub: &'a str,
    pub(crate) topic: &'a str,
    pub(crate) content_type: &'a str,
    pub(crate) traceparent: &'a str,
    pub(crate) tracestate: &'a str,
    /// The publish metadata, of which `cloudevent.*` overrides the attributes in [`OVERRIDES`].
    pub(crate) metadata: &'a Metadata,
}

/// The attributes that publish metadata may set, as in Dapr; the traces are told apart from them.
const OVERRIDES: [&str; 4] = ["id", "source", "type", "subject"];

/// A body that is no event.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WrapError {
    #[error("the body is not JSON, though its content type says so: {0}")]
    NotJson(#[from] serde_json::Error),
}

/// Makes the envelope of `body`: made new, or completed if the body already is a CloudEvent.
pub(crate) fn wrap(publication: &Publication<'_>, body: &[u8]) -> Result<Envelope, WrapError> {
    let content_type = match publication.content_type {
        "" => "text/plain",
        given => given,
    };
    let media = media_type(content_type);
    if media == CLOUD_EVENTS {
        return complete(publication, serde_json::from_slice(body)?);
    }
    let mut event = Envelope::new();
    if media == "application/json" {
        event.insert("data".into(), serde_json::from_slice(body)?);
    } else if matches!(
        media.as_str(),
        "application/octet-stream" | "application/cloudevents+protobuf"
    ) {
        set(&mut event, "data_base64", &base64(body))?;
    } else {
        set(&mut event, "data", &String::from_utf8_lossy(body))?;
    }
    let given = |name: &str| {
        publication
            .overridden(name)
            .filter(|value| !value.is_empty())
    };
    let trace = given("traceparent")
        .or_else(|| given("traceid"))
        .unwrap_or(publication.traceparent);
    let now = rfc3339(now_ms());
    let id = uuid::Uuid::new_v4().to_string();
    for (name, value) in [
        ("datacontenttype", content_type),
        ("topic", publication.topic),
        ("pubsubname", publication.pubsub),
        ("specversion", "1.0"),
        ("time", &now),
        ("id", &id),
        ("source", publication.source),
        ("type", "com.dapr.event.sent"),
        ("traceid", trace),
        ("traceparent", trace),
        (
            "tracestate",
            given("tracestate").unwrap_or(publication.tracestate),
        ),
    ] {
        set(&mut event, name, value)?;
    }
    for name in OVERRIDES {
        if let Some(value) = given(name) {
            set(&mut event, name, value)?;
        }
    }
    Ok(event)
}

/// A CloudEvent with what it lacks.
fn complete(publication: &Publication<'_>, mut event: Envelope) -> Result<Envelope, WrapError> {
    set(&mut event, "topic", publication.topic)?;
    set(&mut event, "pubsubname", publication.pubsub)?;
    let id = uuid::Uuid::new_v4().to_string();
    for (name, value) in [
        ("id", id.as_str()),
        ("specversion", "1.0"),
        ("source", "Dapr"),
        ("type", "com.dapr.event.sent"),
    ] {
        // Null is as good as absent.
        if event.get(name).is_none_or(|value| value.get() == "null") {
            set(&mut event, name, value)?;
        }
    }
    let now = rfc3339(now_ms());
    for (name, value) in [
        ("time", now.as_str()),
        ("traceparent", publication.traceparent),
        ("tracestate", publication.tracestate),
    ] {
        if !event.contains_key(name) {
            set(&mut event, name, value)?;
        }
    }
    if let (None, Some(trace)) = (event.get("traceid"), event.get("traceparent").cloned()) {
        event.insert("traceid".to_owned(), trace);
    }
    Ok(event)
}

impl Publication<'_> {
    /// Returns what the publish metadata says of an attribute; case does not matter.
    pub(crate) fn overridden(&self, attribute: &str) -> Option<&str> {
        let names = |key: &str| {
            let name = key.split_at_checked("cloudevent.".len());
            name.is_some_and(|(prefix, name)| {
                prefix.eq_ignore_ascii_case("cloudevent.") && name.eq_ignore_ascii_case(attribute)
            })
        };
        let found = self.metadata.iter().find(|(key, _)| names(key));
        found.map(|(_, value)| value.as_str())
    }
}

/// Sets an attribute to a text.
pub(crate) fn set(event: &mut Envelope, name: &str, text: &str) -> Result<(), serde_json::Error> {
    event.insert(name.to_owned(), to_raw_value(text)?);
    Ok(())
}

/// An envelope's JSON.
pub(crate) fn json_of(event: &Envelope) -> Result<Bytes, serde_json::Error> {
    serde_json::to_vec(event).map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn wrapped(content_type: &str, metadata: &[(&str, &str)], body: &[u8]) -> Result<Value, WrapError> {
        let metadata = metadata
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let publication = Publication {
            source: "shop",
            pubsub: "pubsub",
            topic: "orders",
            content_type,
            traceparent: "00-1-2-01",
            tracestate: "",
            metadata: &metadata,
        };
        let event = wrap(&publication, body)?;
        Ok(serde_json::from_slice(&json_of(&event)?)?)
    }

    #[test]
    fn json_becomes_parsed_data_and_bytes_become_base64() {
        let json = wrapped("application/json", &[], br#"{"a":1}"#).unwrap();
        assert_eq!(json["data"], json!({"a": 1}));
        assert_eq!(json["source"], "shop");
        assert_eq!(json["traceid"], "00-1-2-01");
        let bytes = wrapped("application/octet-stream", &[], &[0, 255]).unwrap();
        assert_eq!(bytes["data_base64"], "AP8=");
        let text = wrapped("text/plain; charset=utf-8", &[], b"hi").unwrap();
        assert_eq!(text["data"], "hi");
        // Vendors' types are texts, as Dapr has them.
        let vendor = wrapped("application/vnd.x+json", &[], br#"{"a":1}"#).unwrap();
        assert_eq!(vendor["data"], r#"{"a":1}"#);
        assert_eq!(
            wrapped("", &[], b"x").unwrap()["datacontenttype"],
            "text/plain"
        );
    }

    #[test]
    fn a_cloud_event_keeps_its_fields_and_gets_topic_and_pubsub() {
        let body = br#"{"id":"7","source":"me","type":"t","data":1,"topic":"other","time":"x","traceparent":"own"}"#;
        let event = wrapped(
            "application/cloudevents+json",
            &[("cloudevent.type", "over")],
            body,
        )
        .unwrap();
        for (name, value) in [
            ("id", "7"),
            ("source", "me"),
            ("type", "t"),
            ("topic", "orders"),
            ("specversion", "1.0"),
            ("time", "x"),
            ("traceparent", "own"),
            ("traceid", "own"),
        ] {
            assert_eq!(event[name], value, "{name}");
        }
    }

    #[test]
    fn null_attributes_of_a_cloud_event_are_filled_in() {
        let body = br#"{"id":null,"source":null,"type":null,"specversion":null,"data":null}"#;
        let event = wrapped(CLOUD_EVENTS, &[], body).unwrap();
        assert_eq!(
            (&event["source"], &event["type"]),
            (&json!("Dapr"), &json!("com.dapr.event.sent"))
        );
        assert_eq!(
            (&event["specversion"], &event["data"]),
            (&json!("1.0"), &Value::Null)
        );
        assert!(event["id"].as_str().is_some_and(|id| !id.is_empty()));
    }

    #[test]
    fn metadata_overrides_what_dapr_lets_it() {
        let metadata = [
            ("cloudevent.type", "special"),
            ("CloudEvent.Subject", "s"),
            ("cloudevent.traceid", "t"),
            ("cloudevent.data", "no"),
            ("cloudevent.other", "no"),
            ("cloudevent.id", ""),
        ];
        let event = wrapped("text/plain", &metadata, b"x").unwrap();
        assert_eq!(
            (&event["type"], &event["subject"]),
            (&json!("special"), &json!("s"))
        );
        assert_eq!(
            (&event["traceid"], &event["traceparent"]),
            (&json!("t"), &json!("t"))
        );
        assert_eq!((&event["data"], event.get("other")), (&json!("x"), None));
        assert_ne!(event["id"], "");
    }

    #[test]
    fn numbers_keep_their_digits() {
        let metadata = Metadata::new();
        for content_type in ["application/json", CLOUD_EVENTS] {
            let publication = Publication {
                source: "s",
                pubsub: "p",
                topic: "t",
                content_type,
                traceparent: "",
                tracestate: "",
                metadata: &metadata,
            };
            let event = wrap(
                &publication,
                br#"{"data":[12345678901234567890123,1.00,1e2]}"#,
            )
            .unwrap();
            let text = String::from_utf8(json_of(&event).unwrap().to_vec()).unwrap();
            assert!(
                text.contains("[12345678901234567890123,1.00,1e2]"),
                "{text}"
            );
        }
    }

    #[test]
    fn broken_json_is_refused() {
        assert!(wrapped("application/json", &[], b"{").is_err());
        assert!(wrapped("application/cloudevents+json", &[], b"[1]").is_err());
    }
}
