//! Events in memory.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    answer::{Answer, failure, refuse},
    clock::{NOW, later},
    deliver::{Attempt, Subscription},
};
use crate::{Request, Response, dapr::Delivery, params};

/// Failed deliveries before an event goes to the dead-letter topic.
const ATTEMPTS: u32 = 3;

/// The content type of an event.
const CLOUD_EVENTS: &str = "application/cloudevents+json";

/// The trace of every event (W3C Trace Context).
const TRACE: &str = "00-00000000000000000000000000000001-0000000000000001-01";

/// An event that waits: its place, its envelope, and the headers of its delivery.
type Waiting = (usize, Value, BTreeMap<String, String>);

#[derive(Default)]
pub(super) struct Events(Vec<Event>);

struct Event {
    pubsub: String,
    topic: String,
    envelope: Value,
    /// The headers of its deliveries.
    headers: BTreeMap<String, String>,
    /// By app-id: what has become of it so far.
    seen: BTreeMap<String, Seen>,
}

enum Seen {
    Done,
    Failed(u32),
}

impl Events {
    pub(super) fn of_topic(&self, pubsub: &str, topic: &str) -> Vec<Value> {
        let events = self.0.iter();
        events
            .filter(|event| event.pubsub == pubsub && event.topic == topic)
            .map(|event| event.envelope.clone())
            .collect()
    }

    /// Fills an envelope up and keeps it; it is delivered with metadata as headers.
    pub(super) fn publish(
        &mut self,
        (pubsub, topic): (&str, &str),
        source: &str,
        envelope: Value,
        metadata: BTreeMap<String, String>,
    ) {
        let mut whole = json!({
            "id": uuid(self.0.len() as u64 + 1),
            "specversion": "1.0",
            "source": source,
            "type": "com.dapr.event.sent",
            "time": NOW,
            "traceid": TRACE,
            "traceparent": TRACE,
            "tracestate": "",
        });
        if let (Value::Object(whole), Value::Object(given)) = (&mut whole, envelope) {
            // An attribute that is null is none.
            let given = given
                .into_iter()
                .filter(|(name, value)| name == "data" || !value.is_null());
            whole.extend(given);
            whole.insert("topic".to_owned(), topic.into());
            whole.insert("pubsubname".to_owned(), pubsub.into());
        }
        let mut headers = metadata;
        headers.insert("content-type".to_owned(), CLOUD_EVENTS.to_owned());
        headers.insert("pubsubname".to_owned(), pubsub.to_owned());
        self.0.push(Event {
            pubsub: pubsub.to_owned(),
            topic: topic.to_owned(),
            envelope: whole,
            headers,
            seen: BTreeMap::new(),
        });
    }

    pub(super) fn take(&mut self, to: (&str, &str), source: &str, request: &Request, body: &[u8]) -> Answer {
        if to.1.is_empty() {
            return refuse(404, "ERR_DIRECT_INVOKE", "the topic is empty");
        }
        let content_type = request.header("content-type").unwrap_or_default();
        self.accept(to, source, content_type, metadata(request), body)?;
        Ok(Response::new(204))
    }

    pub(super) fn take_bulk(&mut self, to: (&str, &str), source: &str, request: &Request, body: &[u8]) -> Answer {
        if to.1.is_empty() {
            return refuse(404, "ERR_PUBSUB_NOT_FOUND", "the topic is empty");
        }
        let wrong = |message: &str| failure(400, "ERR_PUBSUB_EVENTS_SER", message);
        let entries: Vec<Entry> = serde_json::from_slice(body).map_err(|error| wrong(&error.to_string()))?;
        let mut ids = BTreeSet::new();
        if !entries
            .iter()
            .all(|entry| !entry.entry_id.is_empty() && ids.insert(&entry.entry_id))
        {
            return Err(wrong("an entryId is missing or given twice"));
        }
        let bodies: Vec<Vec<u8>> = entries
            .iter()
            .map(|entry| {
                entry
                    .bytes()
                    .ok_or_else(|| wrong("an event is not as its contentType says"))
            })
            .collect::<Result<_, _>>()?;
        for (entry, body) in entries.into_iter().zip(bodies) {
            let mut metadata = metadata(request);
            metadata.extend(entry.metadata);
            self.accept(to, source, &entry.content_type, metadata, &body)?;
        }
        Ok(Response::new(204))
    }

    fn accept(
        &mut self,
        to: (&str, &str),
        source: &str,
        content_type: &str,
        metadata: BTreeMap<String, String>,
        body: &[u8],
    ) -> Result<(), Response> {
        let is_event = media_type(content_type) == CLOUD_EVENTS;
        let mut envelope = wrap(content_type, body)?;
        let of = |name: &str| metadata.get(name).map(String::as_str);
        let wrong = |name: &str| {
            failure(
                400,
                "ERR_PUBSUB_REQUEST_METADATA",
                &format!("{name} is not as it has to be"),
            )
        };
        if let Some(ttl) = of("ttlInSeconds") {
            let seconds = ttl.parse().map_err(|_| wrong("ttlInSeconds"))?;
            envelope.insert("expiration".to_owned(), later(seconds).into());
        }
        if !matches!(of("rawPayload"), None | Some("true" | "false")) {
            return Err(wrong("rawPayload"));
        }
        for name in ["id", "source", "type", "subject"] {
            if let Some(value) = of(&format!("cloudevent.{name}")) {
                envelope.insert(name.to_owned(), value.into());
            }
        }
        // One that has no source is taken for the sidecar's.
        let source = if is_event { "Dapr" } else { source };
        self.publish(to, source, Value::Object(envelope), metadata);
        Ok(())
    }

    /// The next event from `start` that waits for an app.
    pub(super) fn next(&self, start: usize, app: &str, subscription: &Subscription) -> Option<Waiting> {
        let mut events = self.0.iter().enumerate().skip(start);
        events
            .find(|(_, event)| {
                event.pubsub == subscription.pubsubname
                    && event.topic == subscription.topic
                    && !matches!(event.seen.get(app), Some(Seen::Done))
            })
            .map(|(index, event)| (index, event.envelope.clone(), event.headers.clone()))
    }

    pub(super) fn settle(&mut self, index: usize, subscription: &Subscription, attempt: &Attempt) {
        let Some(event) = self.0.get_mut(index) else {
            return;
        };
        let failures = match event.seen.get(&attempt.app) {
            Some(Seen::Failed(failures)) => *failures,
            _ => 0,
        };
        let (seen, dead) = match attempt.delivery() {
            Delivery::Success => (Seen::Done, false),
            Delivery::Retry if failures + 1 < ATTEMPTS => (Seen::Failed(failures + 1), false),
            Delivery::Retry | Delivery::Drop => (Seen::Done, true),
        };
        event.seen.insert(attempt.app.clone(), seen);
        if let (true, Some(topic)) = (dead, &subscription.dead_letter_topic) {
            let to = (subscription.pubsubname.as_str(), topic.as_str());
            self.publish(to, "", attempt.event.clone(), BTreeMap::new());
        }
    }
}

/// An event of a bulk publish.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Entry {
    entry_id: String,
    event: Value,
    content_type: String,
    metadata: BTreeMap<String, String>,
}

impl Entry {
    /// The event's bytes, by its content type.
    fn bytes(&self) -> Option<Vec<u8>> {
        let text = self.event.as_str();
        match media_type(&self.content_type).as_str() {
            "application/json" | CLOUD_EVENTS => Some(self.event.to_string().into_bytes()),
            "application/octet-stream" => BASE64_STANDARD.decode(text?).ok(),
            media if media == "application/xml" || media.starts_with("text/") => Some(text?.as_bytes().to_vec()),
            _ => None,
        }
    }
}

/// The metadata in the query of a call.
fn metadata(request: &Request) -> BTreeMap<String, String> {
    let pairs = params::query_pairs(request.query_string());
    let metadata = pairs.filter_map(|(name, value)| {
        let name = name.strip_prefix("metadata.")?.to_owned();
        Some((name, value.into_owned()))
    });
    metadata.collect()
}

/// The envelope of a body, as far as the body says it.
fn wrap(content_type: &str, body: &[u8]) -> Result<Map<String, Value>, Response> {
    let content_type = if content_type.is_empty() {
        "text/plain"
    } else {
        content_type
    };
    let json = |body| {
        let json = serde_json::from_slice(body);
        json.map_err(|error| failure(400, "ERR_PUBSUB_CLOUD_EVENTS_SER", &error.to_string()))
    };
    let (name, data) = match media_type(content_type).as_str() {
        CLOUD_EVENTS => return json(body).map(|event: Value| event.as_object().cloned().unwrap_or_default()),
        "application/json" => ("data", json(body)?),
        "application/octet-stream" | "application/cloudevents+protobuf" => {
            ("data_base64", BASE64_STANDARD.encode(body).into())
        }
        _ => ("data", String::from_utf8_lossy(body).into()),
    };
    Ok(object([
        ("datacontenttype", content_type.into()),
        (name, data),
    ]))
}

/// A media type without its parameters, in lower case.
fn media_type(content_type: &str) -> String {
    let (media, _) = content_type.split_once(';').unwrap_or((content_type, ""));
    media.trim().to_ascii_lowercase()
}

/// The `n`th of the ids that the stand-in gives: of the form of a UUID, and the same in every run.
pub(super) fn uuid(n: u64) -> String {
    format!("00000000-0000-4000-8000-{n:012x}")
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    let owned = members.map(|(name, value)| (name.to_owned(), value));
    owned.into_iter().collect()
}
