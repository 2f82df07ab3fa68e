//! Secrets.

use serde_json::json;

use super::call::Call;
use crate::{error::ApiResult, protocol::message::json_answer};

pub(super) fn get(call: &Call<'_>, name: &str, key: &str) -> ApiResult {
    let found = call.api.secrets.get(call.caller, name, key)?;
    json_answer(json!(found).to_string())
}

pub(super) fn bulk(call: &Call<'_>, name: &str) -> ApiResult {
    let found = call.api.secrets.all(call.caller, call.grants, name)?;
    json_answer(json!(found).to_string())
}
