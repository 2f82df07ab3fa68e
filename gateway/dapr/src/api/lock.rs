//! Locks.

use axum::body::Body;
use serde_json::json;

use super::call::Call;
use crate::{
    error::ApiResult,
    protocol::{
        body::{self, forms::Claim},
        message::{bytes, json_answer},
    },
};

pub(super) async fn lock(call: &Call<'_>, body: Body, name: &str) -> ApiResult {
    let claim: Claim = body::proto(&bytes(body).await?)?;
    let success = call.api.locks.lock(call.caller, name, claim).await?;
    json_answer(json!({"success": success}).to_string())
}

pub(super) async fn unlock(call: &Call<'_>, body: Body, name: &str) -> ApiResult {
    let claim: Claim = body::proto(&bytes(body).await?)?;
    let status = call.api.locks.unlock(call.caller, name, claim).await?;
    json_answer(json!({"status": status as u8}).to_string())
}
