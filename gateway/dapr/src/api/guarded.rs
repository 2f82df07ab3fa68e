//! Calls that use a component, under its Resiliency policy.

use axum::body::Body;

use super::{call::Call, perform};
use crate::{
    components::{ComponentType, Policy, Try},
    error::{ApiError, ApiResult, Refused},
    protocol::{message::bytes, operation::Operation},
};

/// The component that an operation uses.
#[derive(Clone, Copy)]
pub(super) struct Used<'a> {
    pub(super) kind: ComponentType,
    pub(super) name: &'a str,
}

/// Returns the component that `operation` uses, if it uses one.
pub(super) fn used(operation: &Operation) -> Option<Used<'_>> {
    use Operation as Op;
    let (kind, name) = match operation {
        Op::GetState { store, .. }
        | Op::SaveState { store }
        | Op::DeleteState { store, .. }
        | Op::BulkGetState { store }
        | Op::Transact { store }
        | Op::QueryState { store } => (ComponentType::State, store),
        Op::Publish { pubsub, .. } | Op::BulkPublish { pubsub, .. } => (ComponentType::PubSub, pubsub),
        Op::Bind { name } => (ComponentType::Binding, name),
        Op::GetSecret { store, .. } | Op::BulkSecrets { store } => (ComponentType::Secrets, store),
        Op::GetConfiguration { store, .. } => (ComponentType::Configuration, store),
        Op::Lock { store } | Op::Unlock { store } => (ComponentType::Lock, store),
        _ => return None,
    };
    Some(Used { kind, name })
}

/// Does the operation under `policy`.
pub(super) async fn guarded(
    call: &Call<'_>,
    policy: &Policy,
    used: Used<'_>,
    operation: &Operation,
    body: Body,
) -> ApiResult {
    // Each of these operations reads its body whole.
    let body = bytes(body).await?;
    let attempt = || perform(call, operation, Body::from(body.clone()));
    let judge = |result: &ApiResult| {
        // What else there is is the caller's own mistake, or an answer such as a conflict.
        let failed = match result {
            Ok(response) => response.status().is_server_error() && response.extensions().get::<Refused>().is_none(),
            Err(error) => error.is_failure(),
        };
        if failed { Try::Failed } else { Try::Succeeded }
    };
    let done = policy.run((call.caller, used.name), attempt, judge).await;
    done.unwrap_or_else(|stopped| Err(failure(operation, used.name, &stopped.to_string())))
}

/// The sidecar's answer to a call of a component that failed for `reason`.
fn failure(operation: &Operation, name: &str, reason: &str) -> ApiError {
    use Operation as Op;
    let (code, message) = match operation {
        Op::GetState { key, .. } => (
            "ERR_STATE_GET",
            format!("fail to get {key} from state store {name}: {reason}"),
        ),
        Op::SaveState { .. } => (
            "ERR_STATE_SAVE",
            format!("failed saving state in state store {name}: {reason}"),
        ),
        Op::DeleteState { key, .. } => (
            "ERR_STATE_DELETE",
            format!("failed deleting state with key {key}: {reason}"),
        ),
        Op::BulkGetState { .. } => ("ERR_STATE_BULK_GET", reason.to_owned()),
        Op::Transact { .. } => (
            "ERR_STATE_TRANSACTION",
            format!("error while executing state transaction: {reason}"),
        ),
        Op::QueryState { .. } => (
            "ERR_STATE_QUERY",
            format!("failed query in state store {name}: {reason}"),
        ),
        Op::Publish { topic, .. } | Op::BulkPublish { topic, .. } => (
            "ERR_PUBSUB_PUBLISH_MESSAGE",
            format!("error when publish to topic {topic} in pubsub {name}: {reason}"),
        ),
        Op::Bind { .. } => (
            crate::bindings::FAILED,
            format!("error invoking output binding {name}: {reason}"),
        ),
        Op::GetSecret { key, .. } => (
            "ERR_SECRET_GET",
            format!("failed getting secret with key {key} from secret store {name}: {reason}"),
        ),
        Op::BulkSecrets { .. } => (
            "ERR_SECRET_GET",
            format!("failed getting secrets from secret store {name}: {reason}"),
        ),
        Op::Lock { .. } => (
            "ERR_TRY_LOCK",
            format!("failed to try acquiring lock: {reason}"),
        ),
        Op::Unlock { .. } => ("ERR_UNLOCK", format!("failed to release lock: {reason}")),
        _ => (
            "ERR_CONFIGURATION_GET",
            format!("failed to get from configuration store {name}: {reason}"),
        ),
    };
    ApiError::new(500, code, message)
}
