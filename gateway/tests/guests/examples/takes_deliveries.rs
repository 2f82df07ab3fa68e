//! Subscribes as `SUBSCRIPTIONS` in its environment says, takes every delivery, and keeps each in its state: path,
//! headers and body, under `seen:` and the event's id, or under `seen:` and the path where there is none.
//!
//! Before it tells its subscriptions it waits for `THINKS_MS` in its environment. The answer to a delivery is `ANSWER`
//! there. With the header `x-call` it calls the Dapr API instead.
#![cfg(target_arch = "wasm32")]

use serde_json::{Value, json};
use wasip2::{
    clocks::monotonic_clock,
    http::types::{IncomingRequest, Method, ResponseOutparam},
};
use wasmgate_test_guests::{answer, dapr, header, serve, target};

serve!(handle);

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    if header(&request, "x-call").is_some() {
        return dapr::relay(&request, out);
    }
    if target(&request) == "/dapr/subscribe" {
        if let Some(ms) = dapr::variable("THINKS_MS").and_then(|ms| ms.parse::<u64>().ok()) {
            monotonic_clock::subscribe_duration(ms * 1_000_000).block();
        }
        return match dapr::variable("SUBSCRIPTIONS") {
            Some(list) => answer(out, 200, &list),
            None => answer(out, 404, ""),
        };
    }
    match keep(&request) {
        Ok(()) => answer(out, 200, &dapr::variable("ANSWER").unwrap_or_default()),
        Err(error) => answer(out, 500, &error),
    }
}

fn keep(request: &IncomingRequest) -> Result<(), String> {
    let path = target(request);
    let headers: serde_json::Map<String, Value> = request
        .headers()
        .entries()
        .into_iter()
        .map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned().into()))
        .collect();
    let body = String::from_utf8_lossy(&dapr::whole(request)).into_owned();
    let event: Value = serde_json::from_str(&body).unwrap_or_default();
    let id = event.get("id").and_then(Value::as_str).unwrap_or(&path);
    let kept = json!({ "path": path, "headers": headers, "body": body });
    let items = json!([{ "key": format!("seen:{id}"), "value": kept }]).to_string();
    let saved = dapr::call(
        &Method::Post,
        "/v1.0/state/statestore",
        &[("content-type", "application/json".to_owned())],
        items.as_bytes(),
    )?;
    match saved.status {
        204 => Ok(()),
        status => Err(format!(
            "{status}: {}",
            String::from_utf8_lossy(&saved.body)
        )),
    }
}
