//! Locks.

use axum::body::Body;
use serde_json::json;

use super::call::{Call, full_key};
use crate::{
    components::find,
    error::{ApiError, ApiResult},
    protocol::{
        body::{self, forms::Claim},
        message::{bytes, json_answer},
    },
    store::{StoreError, locks, store_error},
    time::now_ms,
};

pub(super) async fn lock(call: &Call<'_>, body: Body, name: &str) -> ApiResult {
    let claim: Claim = body::proto(&bytes(body).await?)?;
    let seconds = claim.expiry_in_seconds.unwrap_or_default();
    if seconds <= 0 {
        return Err(ApiError::malformed("expiryInSeconds must be positive"));
    }
    let resource = resource(call, name, &claim, "ERR_TRY_LOCK")?;
    let store = name.to_owned();
    let taken = call.runtime.store.write(move |conn| {
        let now = now_ms();
        let expires_at = now.saturating_add(i64::from(seconds) * 1000);
        locks::try_lock(conn, &store, &resource, &claim.lock_owner, now, expires_at)
    });
    let success = taken
        .await
        .map_err(|error: StoreError| store_error("ERR_TRY_LOCK", &error))?;
    json_answer(json!({"success": success}).to_string())
}

pub(super) async fn unlock(call: &Call<'_>, body: Body, name: &str) -> ApiResult {
    let claim: Claim = body::proto(&bytes(body).await?)?;
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

fn resource(call: &Call<'_>, name: &str, claim: &Claim, code: &'static str) -> Result<String, ApiError> {
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
