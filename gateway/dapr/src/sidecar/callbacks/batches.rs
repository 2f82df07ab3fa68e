//! Batches of events from the sidecar, for topics to which some package subscribes in bulk: these get batches, the
//! others single events, and the sidecar gets a result for each event.

use std::collections::{BTreeMap, HashMap};

use axum::body::{Body, Bytes};
use futures_util::future::join_all;
use http::{HeaderMap, HeaderValue, Method, Response, header::CONTENT_TYPE, request::Parts};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::RawValue};

use super::{
    delivery::{json_answer, publish_dead_letter, send},
    outcomes::{count, event_id, joint_status, remember},
};
use crate::{
    app::AppId,
    event::CLOUD_EVENTS,
    json::{self, Plain},
    pubsub::outcome::{BulkAnswer, Outcome, by_word, outcome},
    sidecar::{allowed_metadata::is_allowed, fanout::FanOut, shared::Shared},
};

/// Events of one batch that one package handles at a time where it takes them one by one.
const AT_A_TIME: usize = 8;

/// A batch as the sidecar sends it; what else it has stays as it is.
#[derive(Clone, Deserialize, Serialize)]
struct Batch {
    entries: Vec<Entry>,
    #[serde(flatten)]
    rest: BTreeMap<String, Plain>,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    entry_id: String,
    event: Box<RawValue>,
    #[serde(default)]
    content_type: String,
    #[serde(default, deserialize_with = "json::any")]
    metadata: Value,
}

/// Delivers a batch of a joint subscription; none if the body is no batch.
pub(super) async fn joined(
    shared: &Shared,
    parts: &Parts,
    body: &Bytes,
    (pubsub, topic): (&str, &str),
) -> Option<Response<Body>> {
    let batch: Batch = serde_json::from_slice(body).ok()?;
    let fan_out = shared.fan_out.load_full();
    let delivery = Delivery {
        shared,
        fan_out: &fan_out,
        parts,
        batch: &batch,
        pubsub,
        topic,
    };
    let delivery = &delivery;
    let turns = fan_out
        .apps(pubsub, topic)
        .into_iter()
        .map(|(app, in_bulk)| async move {
            let outcomes = match in_bulk {
                true => delivery.in_bulk(&app).await,
                false => delivery.one_by_one(&app).await,
            };
            (app, outcomes)
        });
    let by_app: Vec<(AppId, HashMap<usize, Outcome>)> = join_all(turns).await;
    let statuses = batch.entries.iter().enumerate().map(|(at, entry)| {
        let outcomes: Vec<(AppId, Outcome)> = by_app
            .iter()
            .filter_map(|(app, outcomes)| Some((app.clone(), outcomes.get(&at)?.clone())))
            .collect();
        let status = joint_status(&outcomes);
        if let Some(id) = delivery.id(entry) {
            remember(shared, &id, status, outcomes);
        }
        json!({"entryId": entry.entry_id, "status": status})
    });
    let statuses: Vec<Value> = statuses.collect();
    Some(json_answer(&json!({ "statuses": statuses })))
}

struct Delivery<'a> {
    shared: &'a Shared,
    fan_out: &'a FanOut,
    parts: &'a Parts,
    batch: &'a Batch,
    pubsub: &'a str,
    topic: &'a str,
}

impl Delivery<'_> {
    /// The entries that `app` has yet to get, by the path that takes them; with what became of those that none takes.
    fn paths(&self, app: &AppId) -> (BTreeMap<String, Vec<usize>>, HashMap<usize, Outcome>) {
        let (mut paths, mut outcomes) = (BTreeMap::<String, Vec<usize>>::new(), HashMap::new());
        for (at, entry) in self.batch.entries.iter().enumerate() {
            let has = |id: &String| self.shared.delivered.lock().has(id, app);
            if self.id(entry).as_ref().is_some_and(has) {
                continue;
            }
            let event = json::from_slice(entry.event.get().as_bytes()).unwrap_or_default();
            match self.fan_out.target(app, self.pubsub, self.topic, &event) {
                Some(Ok(path)) => paths.entry(path).or_default().push(at),
                Some(Err(reason)) => {
                    tracing::error!(app_id = %app, reason, "an event was dropped");
                    outcomes.insert(at, Outcome::Drop(reason));
                }
                None => {}
            }
        }
        (paths, outcomes)
    }

    async fn in_bulk(&self, app: &AppId) -> HashMap<usize, Outcome> {
        let (paths, mut outcomes) = self.paths(app);
        for (path, entries) in paths {
            let batch = Batch {
                entries: entries
                    .iter()
                    .filter_map(|at| self.batch.entries.get(*at).cloned())
                    .collect(),
                rest: self.batch.rest.clone(),
            };
            let Ok(body) = serde_json::to_vec(&batch) else {
                continue;
            };
            let headers = &self.parts.headers;
            let sent = send(self.shared, app, Method::POST, &path, headers, body.into()).await;
            let statuses = match sent {
                Err(reason) => Err(Outcome::Unreachable(reason)),
                Ok((status, _)) if !status.is_success() => Err(outcome(status, b"")),
                Ok((_, answer)) => serde_json::from_slice::<BulkAnswer>(&answer)
                    .map_err(|_| Outcome::Retry("the answer has no statuses".to_owned())),
            };
            for (at, entry) in entries.iter().zip(&batch.entries) {
                let outcome = match &statuses {
                    Err(outcome) => outcome.clone(),
                    Ok(answer) => match answer.status(&entry.entry_id) {
                        Some(status) => by_word(status),
                        None => Outcome::Retry("the answer does not mention it".to_owned()),
                    },
                };
                outcomes.insert(*at, self.dead_lettered(app, entry, outcome).await);
            }
        }
        for outcome in outcomes.values() {
            count(self.shared, app, outcome);
        }
        outcomes
    }

    async fn one_by_one(&self, app: &AppId) -> HashMap<usize, Outcome> {
        let (paths, mut outcomes) = self.paths(app);
        let each: Vec<(String, usize)> = paths
            .into_iter()
            .flat_map(|(path, entries)| entries.into_iter().map(move |at| (path.clone(), at)))
            .collect();
        for some in each.chunks(AT_A_TIME) {
            let turns = some.iter().map(|(path, at)| self.single(app, path, *at));
            outcomes.extend(join_all(turns).await.into_iter().flatten());
        }
        for outcome in outcomes.values() {
            count(self.shared, app, outcome);
        }
        outcomes
    }

    async fn single(&self, app: &AppId, path: &str, at: usize) -> Option<(usize, Outcome)> {
        let entry = self.batch.entries.get(at)?;
        let headers = self.headers_of(entry);
        let body = self.alone(entry);
        let sent = send(self.shared, app, Method::POST, path, &headers, body).await;
        let outcome = match sent {
            Ok((status, answer)) => outcome(status, &answer),
            Err(reason) => Outcome::Unreachable(reason),
        };
        Some((at, self.dead_lettered(app, entry, outcome).await))
    }

    /// The body of one event: its envelope, or one around bytes that have none.
    fn alone(&self, entry: &Entry) -> Bytes {
        let Ok(bytes) = serde_json::from_str::<String>(entry.event.get()) else {
            return Bytes::from(entry.event.get().to_owned());
        };
        let event = json!({
            "id": entry.entry_id, "specversion": "1.0", "type": "com.dapr.event.sent", "source": "Dapr",
            "datacontenttype": "application/octet-stream", "data_base64": bytes,
            "pubsubname": self.pubsub, "topic": self.topic,
        });
        Bytes::from(event.to_string())
    }

    /// The headers of one event: those of the batch, and its own metadata.
    fn headers_of(&self, entry: &Entry) -> HeaderMap {
        let mut headers = self.parts.headers.clone();
        let metadata = entry.metadata.as_object().into_iter().flatten();
        for (name, value) in metadata {
            let name = http::HeaderName::from_bytes(name.as_bytes());
            let value = value.as_str().map(HeaderValue::from_str);
            if let (Ok(name), Some(Ok(value))) = (name, value)
                && is_allowed(name.as_str())
            {
                headers.insert(name, value);
            }
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(CLOUD_EVENTS));
        headers
    }

    async fn dead_lettered(&self, app: &AppId, entry: &Entry, outcome: Outcome) -> Outcome {
        let own = self.fan_out.own_dead_letter(app, self.pubsub, self.topic);
        match (&outcome, own) {
            (Outcome::Drop(_), Some(topic)) => {
                let event = Bytes::from(entry.event.get().to_owned());
                publish_dead_letter(self.shared, self.pubsub, topic, event).await
            }
            _ => outcome,
        }
    }

    /// Returns what an event is known by when it comes again; none for a payload without an envelope.
    fn id(&self, entry: &Entry) -> Option<String> {
        let event = json::from_slice(entry.event.get().as_bytes()).ok()?;
        event_id(self.pubsub, self.topic, &event)
    }
}
