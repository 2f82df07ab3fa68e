//! Parsers of untrusted input, for the fuzz targets: not part of the crate's API.

use bytes::Bytes;
use http::{Request, request::Parts};
use serde_json::Value;
use wasmgate_common::path::lenient;

use crate::{
    event::{self, Event, Metadata, Publication},
    internal,
    jobs::JobSpec,
    protocol::operation::Operation,
    subscription::{Spec, Subscription},
    time::{Schedule, parse_duration, parse_moment},
};

/// The path that a subscription in JSON gives an event, or the words of a refusal.
pub fn route_event(app: &crate::AppId, subscription: &[u8], event: &Value) -> Result<Option<String>, String> {
    let spec: Spec = serde_json::from_slice(subscription).map_err(|error| error.to_string())?;
    let subscription = Subscription::new(app, &spec).map_err(|error| error.to_string())?;
    let path = subscription
        .path_for(event)
        .map_err(|error| error.to_string())?;
    Ok(path.map(str::to_owned))
}

/// The next few times of a schedule, in milliseconds since 1970; none if the text is no schedule.
pub fn next_times(schedule: &str, after: i64) -> Option<Vec<i64>> {
    let schedule = Schedule::of_binding(schedule).ok()?;
    let mut times = Vec::new();
    let mut last = after;
    while let Some(next) = schedule.next_after(last).filter(|_| times.len() < 4) {
        times.push(next);
        last = next;
    }
    Some(times)
}

/// Reads a duration and a moment, and says which of them it is.
pub fn times(text: &str, start: i64) -> (bool, bool) {
    (
        parse_duration(text).is_ok(),
        parse_moment(text, start).is_ok(),
    )
}

/// When a job in JSON is due first and when it ends, in milliseconds since 1970; none if it is refused.
pub fn begin_job(job: &[u8], now: i64) -> Option<(i64, Option<i64>)> {
    let job: JobSpec = serde_json::from_slice(job).ok()?;
    job.begin(now).ok()
}

/// The envelope in JSON of a body that is published with metadata; none if it is refused.
pub fn envelope(content_type: &str, metadata: &Metadata, body: &[u8]) -> Option<Value> {
    let publication = Publication {
        source: "source",
        pubsub: "pubsub",
        topic: "topic",
        content_type,
        traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        tracestate: "",
        metadata,
    };
    let envelope = event::json_of(&event::wrap(&publication, body).ok()?).ok()?;
    serde_json::from_slice(&envelope).ok()
}

/// The envelope around a body that was published raw.
pub fn raw_envelope(content_type: &str, body: &[u8]) -> Value {
    let event = Event {
        pubsub: "pubsub".to_owned(),
        topic: "topic".to_owned(),
        data: Bytes::copy_from_slice(body),
        content_type: content_type.to_owned(),
        raw: true,
        traceparent: None,
        tracestate: None,
        expires_at: None,
        metadata: Metadata::new(),
    };
    event::wrap_raw(&event, 1)
}

/// The app-id and the path of an invocation; none for other operations and for what is refused.
pub fn invocation<B>(request: Request<B>) -> Option<(String, String)> {
    let (parts, _): (Parts, _) = request.into_parts();
    match Operation::parse(&parts).ok()? {
        Operation::Invoke { app, method } => Some((app, method)),
        _ => None,
    }
}

/// A path as the most lenient app reads it, and whether it is the runtime's in every app.
pub fn plain(path: &str) -> (String, bool) {
    let plain = lenient(path).into_owned();
    let internal = internal::has_prefix(&plain);
    (plain, internal)
}
