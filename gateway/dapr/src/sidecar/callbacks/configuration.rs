//! Changes of configuration from the sidecar.

use axum::body::{Body, Bytes};
use futures_util::future::join_all;
use http::{Method, Response, StatusCode, request::Parts};
use serde_json::{Map, Value};
use wasmgate_common::path;

use super::delivery::{collect, send, text_answer};
use crate::{app::AppId, grants::Grants, json, sidecar::shared::Shared};

/// Sends a change to the package that subscribed to it.
pub(super) async fn deliver(shared: &Shared, parts: &Parts, body: Body, store: &str, key: &str) -> Response<Body> {
    let Ok(body) = collect(body).await else {
        return text_answer(StatusCode::BAD_REQUEST, "");
    };
    let notice = match json::from_slice(&body) {
        Ok(Value::Object(notice)) => notice,
        _ => Map::new(),
    };
    let id = notice.get("id").and_then(Value::as_str).unwrap_or_default();
    let known = shared.watchers.lock().get(id).cloned();
    // A subscription of an earlier life of this process: everyone who may know is told.
    let apps: Vec<AppId> = match known {
        Some(app) => vec![app],
        None => shared.granted_apps(),
    };
    let all = shared.apps.load_full();
    let sent = apps.into_iter().filter_map(|app| {
        let grants = all.get(&app)?;
        let notice = granted_notice(&notice, grants, store)?;
        if !grants.allows_configuration(store, key) {
            return None;
        }
        Some(async move {
            let path = path::from_segments(&["configuration", store, key]);
            let sent = send(shared, &app, Method::POST, &path, &parts.headers, notice);
            if let Err(reason) = sent.await {
                tracing::warn!(app_id = %app, reason, "a change of configuration was not told");
            }
        })
    });
    join_all(sent).await;
    text_answer(StatusCode::OK, "")
}

/// Returns the notice with only those items that are granted.
fn granted_notice(notice: &Map<String, Value>, grants: &Grants, store: &str) -> Option<Bytes> {
    let mut notice = notice.clone();
    if let Some(Value::Object(items)) = notice.get_mut("items") {
        items.retain(|key, _| grants.allows_configuration(store, key));
    }
    serde_json::to_vec(&notice).ok().map(Bytes::from)
}
