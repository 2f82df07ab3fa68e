//! Metadata as a package sees it beside a shared sidecar: its own subscriptions, the components that it may use, and
//! its own extended metadata, which is never sent to the sidecar.

use axum::body::Body;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{answers::read, names::Names, shared::Shared};
use crate::{
    error::{ApiError, ApiResult},
    grants::Grants,
    protocol::message::json_answer,
};

/// The sidecar's metadata, as far as it is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    runtime_version: Value,
    #[serde(default)]
    enabled_features: Value,
    #[serde(default)]
    components: Vec<Map<String, Value>>,
}

/// The answer for `names`' package, from the sidecar's own.
pub(super) fn answer(shared: &Shared, names: &Names<'_>, grants: &Grants, body: &[u8]) -> Result<Vec<u8>, ApiError> {
    let mut metadata: Metadata = read(body)?;
    metadata.components.retain(|component| {
        let text = |name| {
            component
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        grants.sees_component(text("type"), text("name"))
    });
    let subscriptions = shared.fan_out.load().of_app(names.app());
    let notes = shared.notes.of(names.app());
    let answer = json!({
        "id": names.app().as_str(),
        "runtimeVersion": metadata.runtime_version,
        "enabledFeatures": metadata.enabled_features,
        "components": metadata.components,
        "subscriptions": subscriptions,
        "extended": notes,
    });
    Ok(answer.to_string().into_bytes())
}

/// The answer as a response.
pub(super) fn response(answer: Vec<u8>) -> ApiResult {
    json_answer(answer)
}

/// Keeps a note of the package for as long as the process lives.
pub(super) async fn note(shared: &Shared, names: &Names<'_>, body: Body, key: &str) -> ApiResult {
    shared.notes.set(names.app(), key, body).await
}
