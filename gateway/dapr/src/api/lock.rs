//! Locks.

use axum::body::Body;
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::json;

use super::call::{Call, bytes, full_key, json, json_answer, or_default, store_error};
use crate::{
    components::find,
    error::{ApiError, ApiResult},
    store::{StoreError, locks},
    time::now_ms,
};

/// The body is protobuf's JSON: both spellings of names, and numbers as texts too.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Claim {
    #[serde(default, alias = "resource_id", deserialize_with = "or_default")]
    resource_id: String,
    #[serde(default, alias = "lock_owner", deserialize_with = "or_default")]
    lock_owner: String,
    #[serde(default, alias = "expiry_in_seconds", deserialize_with = "number")]
    expiry_in_seconds: i32,
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        Number(i32),
        Text(String),
    }
    match Option::<Form>::deserialize(deserializer)? {
        None => Ok(0),
        Some(Form::Number(number)) => Ok(number),
        Some(Form::Text(text)) => text.parse().map_err(D::Error::custom),
    }
}

pub(super) async fn lock(call: &Call<'_>, body: Body, name: &str) -> ApiResult {
    let claim = read(body).await?;
    if claim.expiry_in_seconds <= 0 {
        return Err(ApiError::malformed("expiryInSeconds must be positive"));
    }
    let resource = resource(call, name, &claim, "ERR_TRY_LOCK")?;
    let store = name.to_owned();
    let taken = call.runtime.store.write(move |conn| {
        let now = now_ms();
        let expires_at = now.saturating_add(i64::from(claim.expiry_in_seconds) * 1000);
        locks::try_lock(conn, &store, &resource, &claim.lock_owner, now, expires_at)
    });
    let success = taken
        .await
        .map_err(|error: StoreError| store_error("ERR_TRY_LOCK", &error))?;
    json_answer(json!({"success": success}).to_string())
}

pub(super) async fn unlock(call: &Call<'_>, body: Body, name: &str) -> ApiResult {
    let claim = read(body).await?;
    let resource = resource(call, name, &claim, "ERR_UNLOCK")?;
    let store = name.to_owned();
    let done = call
        .runtime
        .store
        .write(move |conn| locks::unlock(conn, &store, &resource, &claim.lock_owner, now_ms()));
    let status = done
        .await
        .map_err(|error: StoreError| store_error("ERR_UNLOCK", &error))?;
    json_answer(json!({"status": status as u8}).to_string())
}

/// An empty body is an empty claim, which what follows refuses.
async fn read(body: Body) -> Result<Claim, ApiError> {
    let body = bytes(body).await?;
    match body.is_empty() {
        true => Ok(Claim::default()),
        false => json(&body),
    }
}

fn resource(
    call: &Call<'_>,
    name: &str,
    claim: &Claim,
    code: &'static str,
) -> Result<String, ApiError> {
    let stores = &call.runtime.components.locks;
    if stores.is_empty() {
        let message = "no lock store is configured";
        return Err(ApiError::new(500, "ERR_LOCK_STORE_NOT_CONFIGURED", message));
    }
    if claim.resource_id.is_empty() {
        return Err(ApiError::malformed(
            "resourceId is empty; name what is locked",
        ));
    }
    if claim.lock_owner.is_empty() {
        return Err(ApiError::malformed(
            "lockOwner is empty; name who takes the lock",
        ));
    }
    let Some(store) = find(stores, name, call.caller) else {
        let message = format!("lock store {name:?} is not found");
        return Err(ApiError::new(400, "ERR_LOCK_STORE_NOT_FOUND", message));
    };
    full_key(&store.it.prefix.of(name, call.caller), &claim.resource_id)
        .map_err(|error| ApiError::new(500, code, error.message()))
}
