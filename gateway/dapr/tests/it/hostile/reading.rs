//! A request as daprd reads it, and whether all of that is the package's own.

use serde_json::Value;

use super::Recorded;

/// Operations that may come, by method and path as daprd's router sees it: undecoded.
pub(super) fn check(recorded: &Recorded) -> Result<(), String> {
    let (path, query) = recorded
        .target
        .split_once('?')
        .unwrap_or((&recorded.target, ""));
    for name in [
        "dapr-app-id",
        "dapr-api-token",
        "dapr-caller-app-id",
        "authorization",
        "x-a",
        "connection",
        "x-dapr-key",
    ] {
        if recorded.headers.contains_key(name) {
            return Err(format!("header {name}"));
        }
    }
    if recorded
        .headers
        .get("wasmgate-caller")
        .is_some_and(|caller| caller != "shop")
    {
        return Err("another's wasmgate-caller".to_owned());
    }
    let raw: Vec<&str> = path.split('/').skip(1).collect();
    if raw
        .iter()
        .any(|segment| matches!(*segment, "" | "." | ".."))
        && !path.contains("/method/")
    {
        return Err("the path is cleaned".to_owned());
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let name = decode(pair.split('=').next().unwrap());
        let known = name == "key" || name == "consistency" || name == "concurrency" || name == "appid";
        let metadata = name.strip_prefix("metadata.").is_some_and(|name| {
            name.chars()
                .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
                && !name.to_ascii_lowercase().starts_with("dapr-")
                && !matches!(
                    name.to_ascii_lowercase().as_str(),
                    "content-length" | "transfer-encoding"
                )
                && (name != "namespace" || !path.contains("/secrets/"))
        });
        if !(known || metadata || path.contains("/method/")) {
            return Err(format!("query parameter {name}"));
        }
    }
    let segments: Vec<String> = raw.iter().map(|segment| decode(segment)).collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match (recorded.method.as_str(), segments.as_slice()) {
        (_, ["v1.0", "invoke", "menu", "method", rest @ ..]) => {
            let moves = |part: &&str| {
                part.split(['/', '\\'])
                    .any(|part| part == ".." || part == ".")
            };
            match rest.iter().any(moves) {
                true => Err("the method is cleaned".to_owned()),
                false => Ok(()),
            }
        }
        ("GET" | "DELETE", ["v1.0", "state", "statestore", key]) => own(key),
        ("POST", ["v1.0", "state", "statestore"]) => every_key(&recorded.json()?),
        ("POST", ["v1.0", "state", "statestore", "bulk"]) => {
            let body = recorded.json()?;
            only(&body, &["keys", "parallelism"])?;
            let keys = body["keys"].as_array().ok_or("no keys")?;
            keys.iter()
                .try_for_each(|key| own(key.as_str().unwrap_or_default()))
        }
        ("POST", ["v1.0", "state", "statestore", "transaction"]) => {
            let body = recorded.json()?;
            only(&body, &["operations", "metadata"])?;
            let operations = body["operations"].as_array().ok_or("no operations")?;
            operations.iter().try_for_each(|operation| {
                only(operation, &["operation", "request"])?;
                every_key(&Value::Array(vec![operation["request"].clone()]))
            })
        }
        ("POST", ["v1.0-alpha1", "state", "statestore", "query"]) => {
            let body = recorded.json()?;
            only(&body, &["filter", "sort", "page"])?;
            let token = body["page"]["token"].as_str().unwrap_or_default();
            match token.is_empty() {
                true => Ok(()),
                false => Err("the package's token".to_owned()),
            }
        }
        ("GET", ["v1.0", "secrets", "secretstore", "mine" | "bulk"])
        | ("GET", ["v1.0", "configuration", "configstore"])
        | ("POST", ["v1.0", "publish", "pubsub", "mine"])
        | ("GET", ["v1.0", "metadata" | "healthz"]) => Ok(()),
        ("POST", ["v1.0", "publish", "bulk", "pubsub", "mine"]) => {
            let body = recorded.json()?;
            let entries = body.as_array().ok_or("no entries")?;
            entries.iter().try_for_each(|entry| {
                only(entry, &["entryId", "event", "contentType", "metadata"])?;
                only(&entry["metadata"], &["cloudevent.source"])
            })
        }
        ("POST", ["v1.0-alpha1", "lock" | "unlock", "lockstore"]) => {
            let body = recorded.json()?;
            only(&body, &["resourceId", "lockOwner", "expiryInSeconds"])?;
            own(body["resourceId"].as_str().unwrap_or_default())
        }
        ("POST" | "GET" | "DELETE", ["v1.0", "jobs", name]) if name.starts_with("4-shop-") => Ok(()),
        ("POST", ["v1.0", "bindings", "mine"]) => only(&recorded.json()?, &["operation", "data", "metadata"]),
        _ => Err("an operation that is not granted".to_owned()),
    }
}

impl Recorded {
    /// The body, in which no name stands twice in any case.
    fn json(&self) -> Result<Value, String> {
        serde_json::from_slice(&self.body).map_err(|error| error.to_string())
    }
}

fn every_key(items: &Value) -> Result<(), String> {
    let items = items.as_array().ok_or("no items")?;
    items.iter().try_for_each(|item| {
        only(
            item,
            &["key", "value", "etag", "metadata", "options", "contentType"],
        )?;
        own(item["key"].as_str().unwrap_or_default())
    })
}

fn own(key: &str) -> Result<(), String> {
    match key.starts_with("shop:") && !key.contains("||") {
        true => Ok(()),
        false => Err(format!("key {key:?}")),
    }
}

fn only(object: &Value, names: &[&str]) -> Result<(), String> {
    let Some(object) = object.as_object() else {
        return Ok(());
    };
    match object.keys().find(|name| !names.contains(&name.as_str())) {
        Some(name) => Err(format!("member {name:?}")),
        None => Ok(()),
    }
}

/// As Go's `QueryUnescape`.
fn decode(text: &str) -> String {
    let text = text.replace('+', " ");
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match (first, hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
