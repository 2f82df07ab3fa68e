//! Health and metadata.

use axum::body::Body;
use serde_json::{Value, json};

use super::call::Call;
use crate::{
    error::{ApiError, ApiResult},
    protocol::message::{json_answer, no_content},
};

/// The Dapr version whose API this is: the one it is compared with, call by call.
const RUNTIME_VERSION: &str = "1.18.1";

/// 204 once the apps have been asked for their subscriptions, 500 before; 500 too for an `appid` that is not the
/// caller's. The outbound check waits for no app: an app may wait for it.
pub(super) fn health(call: &Call<'_>) -> ApiResult {
    let path = call.parts.uri.path().trim_end_matches('/');
    if path.ends_with("/outbound") {
        return no_content();
    }
    if !*call.api.ready.borrow() {
        let message = "dapr is not ready";
        return Err(ApiError::new(500, "ERR_HEALTH_NOT_READY", message));
    }
    let asked = call.queries("appid");
    if asked.first().is_some_and(|app| app != call.caller.as_str()) {
        let message = "dapr app-id does not match";
        return Err(ApiError::new(500, "ERR_HEALTH_APPID_NOT_MATCH", message));
    }
    no_content()
}

pub(super) fn metadata(call: &Call<'_>) -> ApiResult {
    let components = call.api.components.load();
    let components: Vec<Value> = components
        .list(call.caller)
        .into_iter()
        .map(|(name, kind, version, capabilities)| {
            json!({"name": name, "type": kind, "version": version, "capabilities": capabilities})
        })
        .collect();
    let mut extended = call.api.notes.of(call.caller);
    extended.insert("daprRuntimeVersion".to_owned(), RUNTIME_VERSION.to_owned());
    let body = json!({
        "id": call.caller.as_str(), "runtimeVersion": RUNTIME_VERSION, "enabledFeatures": [],
        "components": components, "subscriptions": subscriptions(call), "extended": extended,
        "actorRuntime": {"runtimeStatus": "DISABLED", "hostReady": false},
    });
    json_answer(body.to_string())
}

fn subscriptions(call: &Call<'_>) -> Vec<Value> {
    let subscriptions = call.api.pubsub.subscriptions(call.caller).into_iter();
    let subscriptions = subscriptions.map(|(queue, is_declared)| {
        let subscription = &queue.subscription;
        let rules = subscription.rules.iter();
        let rules = rules.map(|rule| json!({"match": rule.text, "path": rule.path}));
        let default = subscription.default_path.iter();
        let default = default.map(|path| json!({"path": path}));
        let rules: Vec<Value> = rules.chain(default).collect();
        json!({
            "pubsubname": subscription.pubsub, "topic": subscription.topic, "rules": rules,
            "deadLetterTopic": subscription.dead_letter_topic.as_deref().unwrap_or_default(),
            "type": if is_declared { "DECLARATIVE" } else { "PROGRAMMATIC" },
        })
    });
    subscriptions.collect()
}

/// Keeps an item of the app's extended metadata for as long as the process lives.
pub(super) async fn set(call: &Call<'_>, body: Body, key: &str) -> ApiResult {
    call.api.notes.set(call.caller, key, body).await
}
