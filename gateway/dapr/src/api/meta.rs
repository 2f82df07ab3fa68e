//! Health and metadata.

use axum::body::Body;
use serde_json::{Value, json};

use super::call::{Call, bytes, json_answer, no_content};
use crate::error::{ApiError, ApiResult};

/// The Dapr version whose API this is.
const RUNTIME_VERSION: &str = "1.18.0";

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
    let body = json!({
        "id": call.caller.as_str(), "runtimeVersion": RUNTIME_VERSION, "enabledFeatures": [],
        "components": components, "subscriptions": subscriptions, "extended": {},
    });
    json_answer(body.to_string())
}

/// Extended metadata is taken and not kept: nothing here reads it.
pub(super) async fn set(body: Body) -> ApiResult {
    bytes(body).await?;
    no_content()
}
