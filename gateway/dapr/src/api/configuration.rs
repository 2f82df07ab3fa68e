//! Configuration.

use http::StatusCode;
use serde_json::json;

use super::call::Call;
use crate::{
    error::ApiResult,
    protocol::message::{json_answer, no_content},
};

/// The items that there are; 204 if there are none.
pub(super) fn get(call: &Call<'_>, name: &str) -> ApiResult {
    let block = &call.api.configuration;
    let items = block.get(call.caller, call.grants, name, &call.queries("key"))?;
    if items.is_empty() {
        return no_content();
    }
    json_answer(json!(items).to_string())
}

pub(super) fn subscribe(call: &Call<'_>, name: &str) -> ApiResult {
    let block = &call.api.configuration;
    let id = block.subscribe(call.caller, call.grants, name, call.queries("key"))?;
    json_answer(json!({"id": id}).to_string())
}

pub(super) fn unsubscribe(call: &Call<'_>, name: &str, id: &str) -> ApiResult {
    if call.api.configuration.unsubscribe(call.caller, name, id)? {
        return json_answer(json!({"ok": true}).to_string());
    }
    let message = format!("there is no subscription {id:?} of this app");
    let mut response = json_answer(json!({"message": message}).to_string())?;
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    Ok(response)
}
