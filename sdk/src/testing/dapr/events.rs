//! Events in memory.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    answer::{Answer, answer_json, refuse},
    deliver::{Attempt, Subscription},
};
use crate::{Request, Response, dapr::Delivery, params};

/// Failed deliveries before an event goes to the dead-letter topic.
const ATTEMPTS: u32 = 3;

#[derive(Default)]
pub(super) struct Events(Vec<Event>);

struct Event {
    pubsub: String,
    topic: String,
    envelope: Value,
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

    /// Fills an envelope up and keeps it.
    pub(super) fn publish(&mut self, pubsub: &str, topic: &str, envelope: Value) {
        let mut whole = json!({
            "id": format!("event-{}", self.0.len() + 1),
            "specversion": "1.0",
            "source": "test",
            "type": "com.dapr.event.sent",
            "time": "2026-01-01T00:00:00Z",
        });
        if let (Value::Object(whole), Value::Object(given)) = (&mut whole, envelope) {
            whole.extend(given);
            whole.insert("topic".to_owned(), topic.into());
            whole.insert("pubsubname".to_owned(), pubsub.into());
        }
        self.0.push(Event {
            pubsub: pubsub.to_owned(),
            topic: topic.to_owned(),
            envelope: whole,
            seen: BTreeMap::new(),
        });
    }

    pub(super) fn take(&mut self, pubsub: &str, topic: &str, request: &Request, body: &[u8]) -> Answer {
        if topic.is_empty() {
            return refuse(404, "ERR_DIRECT_INVOKE", "the topic is empty");
        }
        let content_type = request.header("content-type").unwrap_or("text/plain");
        let mut envelope = match content_type {
            "application/cloudevents+json" => answer_json(body)?,
            _ => wrap(content_type, body)?,
        };
        let pairs = params::query_pairs(request.query_string());
        let attributes = pairs.filter_map(|(name, value)| {
            let name = name.strip_prefix("metadata.cloudevent.")?.to_owned();
            Some((name, Value::from(value)))
        });
        envelope.extend(attributes.collect::<Map<_, _>>());
        self.publish(pubsub, topic, Value::Object(envelope));
        Ok(Response::new(204))
    }

    pub(super) fn take_bulk(&mut self, pubsub: &str, topic: &str, body: &[u8]) -> Answer {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Entry {
            event: Value,
            content_type: String,
            #[serde(default)]
            metadata: BTreeMap<String, String>,
        }
        let entries: Vec<Entry> = answer_json(body)?;
        for entry in entries {
            let mut envelope = match (entry.content_type.as_str(), entry.event) {
                ("application/cloudevents+json", Value::Object(envelope)) => envelope,
                (kind, Value::String(text)) if kind != "application/json" => {
                    let data = if kind.starts_with("text/") {
                        "data"
                    } else {
                        "data_base64"
                    };
                    object([("datacontenttype", kind.into()), (data, text.into())])
                }
                (kind, event) => object([("datacontenttype", kind.into()), ("data", event)]),
            };
            envelope.extend(entry.metadata.into_iter().filter_map(|(name, value)| {
                let name = name.strip_prefix("cloudevent.")?.to_owned();
                Some((name, Value::from(value)))
            }));
            self.publish(pubsub, topic, Value::Object(envelope));
        }
        Ok(Response::new(204))
    }

    /// The next event from `start` that waits for an app.
    pub(super) fn next(&self, start: usize, app: &str, subscription: &Subscription) -> Option<(usize, Value)> {
        let mut events = self.0.iter().enumerate().skip(start);
        events
            .find(|(_, event)| {
                event.pubsub == subscription.pubsubname
                    && event.topic == subscription.topic
                    && !matches!(event.seen.get(app), Some(Seen::Done))
            })
            .map(|(index, event)| (index, event.envelope.clone()))
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
            self.publish(&subscription.pubsubname, topic, attempt.event.clone());
        }
    }
}

fn wrap(content_type: &str, body: &[u8]) -> Result<Map<String, Value>, Response> {
    let (name, data) = match content_type {
        "application/json" => ("data", answer_json(body)?),
        kind => match str::from_utf8(body) {
            Ok(data) if kind.starts_with("text/") => ("data", data.into()),
            _ => ("data_base64", BASE64_STANDARD.encode(body).into()),
        },
    };
    Ok(object([
        ("datacontenttype", content_type.into()),
        (name, data),
    ]))
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    let owned = members.map(|(name, value)| (name.to_owned(), value));
    owned.into_iter().collect()
}
