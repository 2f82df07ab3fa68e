//! Health and metadata.

use axum::body::Body;
use serde_json::{Value, json};

use super::call::{Call, bytes, json_answer, no_content};
use crate::error::{ApiError, ApiResult};

/// The Dapr version whose API this is.
const RUNTIME_VERSION: &str = "1.18.0";

/// Items of extended metadata that one app may set: they are kept in memory.
const MAX_EXTENDED: usize = 100;

/// 204 once the apps have been asked for their subscriptions, 500 before.
pub(super) fn health(call: &Call<'_>) -> ApiResult {
    if call.runtime.is_ready() {
        return no_content();
    }
    Err(ApiError::new(
        500,
        "ERR_HEALTH_NOT_READY",
        "dapr is not ready",
    ))
}

pub(super) fn metadata(call: &Call<'_>) -> ApiResult {
    let components = call.runtime.components.list(call.caller);
    let components: Vec<Value> = components
        .into_iter()
        .map(|(name, kind, version, capabilities)| {
            json!({"name": name, "type": kind, "version": version, "capabilities": capabilities})
        })
        .collect();
    let subscriptions: Vec<Value> = call
        .runtime
        .broker
        .of_app(call.caller)
        .iter()
        .map(|queue| {
            let subscription = &queue.subscription;
            let rules = subscription.rules.iter().map(|rule| rule.path.as_str());
            let paths = rules.chain(subscription.default_path.as_deref());
            let rules: Vec<Value> = paths.map(|path| json!({"path": path})).collect();
            json!({
                "pubsubname": subscription.pubsub, "topic": subscription.topic, "rules": rules,
                "deadLetterTopic": subscription.dead_letter_topic.as_deref().unwrap_or_default(),
            })
        })
        .collect();
    let extended = call
        .runtime
        .extended
        .lock()
        .get(call.caller)
        .cloned()
        .unwrap_or_default();
    let body = json!({
        "id": call.caller.as_str(), "runtimeVersion": RUNTIME_VERSION, "enabledFeatures": [],
        "components": components, "subscriptions": subscriptions, "extended": extended,
    });
    json_answer(body.to_string())
}

/// Keeps an item of the app's extended metadata for as long as the process lives.
pub(super) async fn set(call: &Call<'_>, body: Body, key: &str) -> ApiResult {
    let value = bytes(body).await?;
    let value = String::from_utf8(value.to_vec());
    let value = value.map_err(|_| ApiError::malformed("the value is not UTF-8"))?;
    let mut extended = call.runtime.extended.lock();
    let items = extended.entry(call.caller.clone()).or_default();
    if items.len() >= MAX_EXTENDED && !items.contains_key(key) {
        let message = format!("an app keeps {MAX_EXTENDED} items of extended metadata at most");
        return Err(ApiError::malformed(message));
    }
    items.insert(key.to_owned(), value);
    no_content()
}
