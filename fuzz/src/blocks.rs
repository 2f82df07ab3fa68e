//! The building blocks: files of components, and what packages and clients say to them.

use std::{collections::BTreeMap, fs, sync::LazyLock};

use http::Request;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use wasmgate_dapr::{AppId, Body, Dapr, Grants, OpenError, Settings, fuzzing};

use crate::input;

/// Some moment from which schedules are read, in milliseconds since 1970.
const NOW: i64 = 1_800_000_000_000;

/// Resource YAML: it is read, or every mistake is told.
pub fn components(data: &[u8]) {
    static FOLDER: LazyLock<TempDir> = LazyLock::new(folder);
    let written = fs::write(FOLDER.path().join("resources.yaml"), data);
    assert!(written.is_ok(), "the folder can be written to");
    let settings = Settings {
        components: Some(FOLDER.path().to_owned()),
        ..Settings::default()
    };
    match Dapr::check(&settings) {
        Ok(()) => drop(Dapr::caveats(&settings)),
        Err(OpenError::Components(mistakes)) => {
            assert!(!mistakes.is_empty(), "refused without a reason");
        }
        Err(other) => assert!(!other.to_string().is_empty()),
    }
}

/// A rule, or a subscription in JSON; `---`, and an event in JSON: it goes where the subscription says, or nowhere.
pub fn rules(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (subscription, event) = input::parts(text);
    let event = serde_json::from_str(event).unwrap_or(Value::Null);
    if subscription.trim_start().starts_with('{') {
        let _ = fuzzing::route_event(&app(), subscription.as_bytes(), &event);
        return;
    }
    let rules = json!([{ "match": subscription, "path": "/rule" }]);
    let subscription = json!({
        "pubsubname": "pubsub", "topic": "topic",
        "routes": { "rules": rules, "default": "/default" },
    });
    if let Ok(path) = fuzzing::route_event(&app(), subscription.to_string().as_bytes(), &event) {
        let path = path.as_deref();
        assert!(matches!(path, Some("/rule" | "/default")), "{path:?}");
    }
}

/// A schedule, a moment, a duration, or a job in JSON: times go forwards.
pub fn schedule(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let _ = fuzzing::times(text, NOW);
    for start in [NOW, 0, -1, i64::MAX, i64::MIN] {
        let mut last = start;
        for next in fuzzing::next_times(text, start).unwrap_or_default() {
            // At the end of time it stands still.
            let forwards = next > last || last == i64::MAX;
            assert!(forwards, "{text:?} goes from {last} to {next}");
            last = next;
        }
        let _ = fuzzing::begin_job(text.as_bytes(), start);
    }
}

/// A content type and metadata line by line, an empty line, and a body: its envelope has what CloudEvents asks for.
pub fn envelope(data: &[u8]) {
    let end = data.windows(2).position(|two| two == b"\n\n");
    let (head, body) = data.split_at(end.unwrap_or(data.len()));
    let body = body.get(2..).unwrap_or_default();
    let Ok(head) = std::str::from_utf8(head) else {
        return;
    };
    let mut lines = head.lines();
    let content_type = lines.next().unwrap_or_default();
    let metadata: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let raw = fuzzing::raw_envelope(content_type, body);
    let wrapped = fuzzing::envelope(content_type, &metadata, body);
    for event in wrapped.into_iter().chain([raw]) {
        for attribute in ["id", "source", "specversion", "type", "topic", "pubsubname"] {
            assert!(event.get(attribute).is_some(), "no {attribute}: {event}");
        }
    }
}

/// A request to the Dapr API: what it invokes has one meaning, and a path reads the same however often it is read.
pub fn operation(data: &[u8]) {
    let Some(request) = std::str::from_utf8(data).ok().and_then(input::request) else {
        return;
    };
    let (once, internal) = fuzzing::plain(request.uri().path());
    let moves = once.split('/').any(|segment| matches!(segment, "." | ".."));
    assert!(!moves, "{once:?}");
    if !once.contains('%') {
        assert_eq!(fuzzing::plain(&once), (once.clone(), internal));
    }
    if let Some((_, path)) = fuzzing::invocation(request) {
        assert!(path.starts_with('/'), "{path:?}");
        assert!(path.parse::<http::Uri>().is_ok(), "{path:?} is no path");
        for segment in path.split('/') {
            assert!(
                segment != "." && segment != "..",
                "{path:?} leads elsewhere"
            );
        }
    }
}

/// Calls of the API, `---` between them: each is answered whole, and an error in JSON is JSON.
pub fn calls(data: &[u8]) {
    static DAPR: LazyLock<(Runtime, TempDir, Dapr)> = LazyLock::new(opened);
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (runtime, _, dapr) = &*DAPR;
    for request in input::all_parts(text).filter_map(input::request).take(8) {
        let told = format!("{request:?}");
        let request = Request::map(request, Body::from);
        let response = runtime.block_on(dapr.call(&app(), &Grants::all(), request));
        let (head, body) = response.into_parts();
        let streams = head.headers.contains_key("transfer-encoding");
        let body = runtime.block_on(body.collect());
        assert!(body.is_ok() && !streams, "the answer to {told} breaks off");
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        let kind = head.headers.get("content-type");
        if head.status.as_u16() >= 400 && kind.is_some_and(|kind| kind == "application/json") {
            let json = serde_json::from_slice::<Value>(&body);
            assert!(json.is_ok(), "{told} is answered {body:?}");
        }
    }
}

#[expect(clippy::unwrap_used, reason = "a constant that is an app-id")]
fn app() -> AppId {
    AppId::new("app").unwrap()
}

#[expect(clippy::unwrap_used, reason = "without a folder nothing can be tried")]
fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[expect(clippy::unwrap_used, reason = "without a runtime nothing can be tried")]
fn opened() -> (Runtime, TempDir, Dapr) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let folder = folder();
    let settings = Settings {
        data: folder.path().to_owned(),
        ..Settings::default()
    };
    let dapr = runtime.block_on(async { Dapr::open(settings) }).unwrap();
    (runtime, folder, dapr)
}
