//! Secrets.

use serde_json::json;

use super::call::Call;
use crate::{
    components::find,
    error::{ApiError, ApiResult},
    protocol::message::json_answer,
    providers::secrets::SecretStore,
};

pub(super) fn get(call: &Call<'_>, name: &str, key: &str) -> ApiResult {
    let found = store(call, name)?.get(key).ok_or_else(|| {
        let message = format!("secret store {name:?} has no secret {key:?}");
        ApiError::new(500, "ERR_SECRET_GET", message)
    })?;
    json_answer(json!(found).to_string())
}

/// Every secret that is granted; the others are as if they were not.
pub(super) fn bulk(call: &Call<'_>, name: &str) -> ApiResult {
    let store = store(call, name)?;
    let all: std::collections::BTreeMap<_, _> = store
        .all()
        .iter()
        .filter(|(key, _)| call.grants.allows_secret(name, key))
        .collect();
    if all.is_empty() && !store.all().is_empty() {
        return Err(ApiError::not_granted(
            "ERR_PERMISSION_DENIED",
            "secrets",
            name,
        ));
    }
    json_answer(json!(all).to_string())
}

fn store<'a>(call: &'a Call<'_>, name: &str) -> Result<&'a SecretStore, ApiError> {
    let stores = &call.runtime.components.secrets;
    if stores.is_empty() {
        let message = "no secret store is configured";
        return Err(ApiError::new(
            500,
            "ERR_SECRET_STORES_NOT_CONFIGURED",
            message,
        ));
    }
    find(stores, name, call.caller)
        .map(|component| &component.it)
        .ok_or_else(|| {
            let message = format!("secret store {name:?} is not found");
            ApiError::new(401, "ERR_SECRET_STORE_NOT_FOUND", message)
        })
}
