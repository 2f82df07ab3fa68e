//! What a call showed, without what cannot be alike.

use std::{collections::BTreeMap, net::IpAddr};

use chrono::DateTime;
use http::HeaderMap;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{
    app::{Got, told},
    case::Case,
};
use crate::harness::Answer;

/// Headers that are a connection's or a trace's, or that some client puts on every request.
const PASSING: [&str; 15] = [
    // The depth of an invocation, which a sidecar does not pass on.
    "wasmgate-depth",
    "accept",
    "accept-encoding",
    "connection",
    "content-length",
    "date",
    "host",
    "keep-alive",
    "te",
    "traceparent",
    "tracestate",
    "transfer-encoding",
    "user-agent",
    "baggage",
    "grpc-trace-bin",
];

/// Members of bodies that are of one moment or one store.
const OF_THE_MOMENT: [&str; 6] = [
    "etag",
    "time",
    "traceid",
    "traceparent",
    "entryId",
    "tracestate",
];

/// An answer, and what the app was sent.
pub(super) struct Seen {
    answer: Answer,
    fields: BTreeMap<String, String>,
}

impl Seen {
    pub(super) fn new(answer: Answer, sent: &[Got]) -> Self {
        let mut fields = BTreeMap::new();
        let mut field = |name: &str, value: String| fields.insert(name.to_owned(), value);
        field("status", answer.status.to_string());
        let body = body(&answer.body);
        // A failure's words are each side's own; its code is not.
        let code = body
            .get("errorCode")
            .and_then(Value::as_str)
            .map(str::to_owned);
        field(
            "body",
            if code.is_some() {
                "a failure".to_owned()
            } else {
                body.to_string()
            },
        );
        field("errorCode", code.unwrap_or_default());
        for (name, value) in headers(&answer.headers).into_iter() {
            field(
                &format!("header {name}"),
                value.as_str().unwrap_or_default().to_owned(),
            );
        }
        // What is sent at the same time comes in any order.
        let mut sent: Vec<Value> = sent.iter().map(|got| settled(told(got), "")).collect();
        sent.sort_by_key(Value::to_string);
        for (at, told) in sent.iter().enumerate() {
            for (part, value) in told.as_object().into_iter().flatten() {
                field(&format!("sent {at} {part}"), value.to_string());
            }
        }
        Self { answer, fields }
    }

    /// What later calls need of the answer, by the names that the call gives it.
    pub(super) fn kept(&self, case: &Case) -> BTreeMap<String, String> {
        let part = |place: &String| match place.split_once(' ') {
            Some(("header", name)) => self.answer.header(name).to_owned(),
            Some(("json", pointer)) => {
                let body: Value = serde_json::from_slice(&self.answer.body).unwrap_or_default();
                let found = body.pointer(pointer).and_then(Value::as_str);
                found.unwrap_or("nothing").to_owned()
            }
            _ => panic!("{}: {place:?} is neither header nor json", case.name),
        };
        let kept = case.keep.iter();
        kept.map(|(name, place)| (name.clone(), part(place)))
            .collect()
    }

    /// Fields that are not alike: their names, what this shows, and what the other does. Where one fails and the other
    /// does not, status and code say it all.
    pub(super) fn differences(&self, other: &Self) -> Vec<(String, String, String)> {
        let failed = |seen: &Self| seen.answer.status >= 400;
        let apart = failed(self) != failed(other);
        let none = "-".to_owned();
        let mut names: Vec<&String> = self.fields.keys().chain(other.fields.keys()).collect();
        names.sort();
        names.dedup();
        let pairs = names.into_iter().map(|name| {
            let of = |seen: &Self| seen.fields.get(name).unwrap_or(&none).clone();
            (name.clone(), of(self), of(other))
        });
        let told = |name: &str| !apart || matches!(name, "status" | "errorCode");
        pairs
            .filter(|(name, one, other)| one != other && told(name))
            .collect()
    }
}

/// The headers that somebody may look for.
pub(super) fn headers(headers: &HeaderMap) -> Map<String, Value> {
    let mut kept = Map::new();
    for name in headers.keys() {
        if PASSING.contains(&name.as_str()) || name.as_str() == "metadata.date" {
            continue;
        }
        let values = headers.get_all(name).iter();
        let values: Vec<_> = values
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        let value = match name.as_str() {
            "etag" => "set".to_owned(),
            "readtimeutc" | "metadata.ttlexpiretime" => "<time>".to_owned(),
            "timezone" => "<zone>".to_owned(),
            "metadata.content-length" => "<length>".to_owned(),
            _ => text(&values.join(", ")),
        };
        kept.insert(name.to_string(), value.into());
    }
    kept
}

fn body(bytes: &[u8]) -> Value {
    if bytes.len() > 100_000 {
        return format!("{} bytes", bytes.len()).into();
    }
    match serde_json::from_slice(bytes) {
        Ok(value) => settled(value, ""),
        Err(_) => text(&String::from_utf8_lossy(bytes)).into(),
    }
}

/// A value without what is of one moment; lists of keyed things in the order of their keys.
fn settled(value: Value, name: &str) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.into_iter();
            members
                .map(|(name, value)| (name.clone(), settled(value, &name)))
                .collect()
        }
        Value::Array(mut items) => {
            items.sort_by_key(|item| item.get("key").map(Value::to_string));
            items.into_iter().map(|item| settled(item, name)).collect()
        }
        Value::String(_) if OF_THE_MOMENT.contains(&name) => format!("<{name}>").into(),
        // Base64 of an envelope, in which there is a time.
        Value::String(value) if name == "data_base64" && value.len() > 100 => "<long>".into(),
        // What two sides say of a failure is not alike.
        Value::String(_) if name == "message" => "<words>".into(),
        Value::String(value) => text(&value).into(),
        other => other,
    }
}

/// A text without ids, times and addresses that are chosen anew.
fn text(value: &str) -> String {
    if Uuid::try_parse(value).is_ok() {
        return "<uuid>".to_owned();
    }
    if DateTime::parse_from_rfc3339(value).is_ok() {
        return "<time>".to_owned();
    }
    if value.parse::<IpAddr>().is_ok() {
        return "<address>".to_owned();
    }
    match value.strip_prefix("outbox-") {
        Some(id) if Uuid::try_parse(id).is_ok() => "outbox-<uuid>".to_owned(),
        _ => value.to_owned(),
    }
}
