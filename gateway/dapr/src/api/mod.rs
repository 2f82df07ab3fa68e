//! The Dapr HTTP API, served by the embedded runtime.

mod bindings;
pub(crate) mod call;
mod change;
pub(crate) mod configuration;
pub(crate) mod invoke;
mod jobs;
mod lock;
mod meta;
mod outbox;
mod publish;
mod query;
mod secrets;
mod state;
mod transaction;

use std::sync::Arc;

use axum::body::Body;
use http::Response;

use crate::{
    app::AppId,
    error::ApiResult,
    grants::Grants,
    protocol::{ApiRequest, operation::Operation},
    runtime::Runtime,
};
use call::Call;

/// Answers one call; every failure is an answer too.
pub(crate) async fn handle(
    runtime: &Arc<Runtime>,
    caller: &AppId,
    grants: &Grants,
    request: ApiRequest,
) -> Response<Body> {
    match route(runtime, caller, grants, request).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

async fn route(runtime: &Arc<Runtime>, caller: &AppId, grants: &Grants, request: ApiRequest) -> ApiResult {
    use Operation as Op;
    let (operation, parts, body) = request.into_parts()?;
    operation.check(grants)?;
    let call = &Call {
        runtime,
        caller,
        grants,
        parts: &parts,
    };
    match &operation {
        Op::GetState { store, key } => state::get(call, store, key),
        Op::SaveState { store } => state::save(call, body, store).await,
        Op::DeleteState { store, key } => state::delete(call, store, key).await,
        Op::BulkGetState { store } => state::bulk_get(call, body, store).await,
        Op::Transact { store } => transaction::transact(call, body, store).await,
        Op::QueryState { store } => query::query(call, body, store).await,
        Op::Publish { pubsub, topic } => publish::publish(call, body, pubsub, topic).await,
        Op::BulkPublish { pubsub, topic } => publish::bulk(call, body, pubsub, topic).await,
        Op::Invoke { app, method } => invoke::invoke(call, body, app, method).await,
        Op::Bind { name } => bindings::invoke(call, body, name).await,
        Op::GetSecret { store, key } => secrets::get(call, store, key),
        Op::BulkSecrets { store } => secrets::bulk(call, store),
        Op::GetConfiguration { store, .. } => configuration::get(call, store),
        Op::SubscribeConfiguration { store, .. } => configuration::subscribe(call, store),
        Op::UnsubscribeConfiguration { store, id } => configuration::unsubscribe(call, store, id),
        Op::Lock { store } => lock::lock(call, body, store).await,
        Op::Unlock { store } => lock::unlock(call, body, store).await,
        Op::ScheduleJob { name } => jobs::schedule(call, body, name).await,
        Op::GetJob { name } => jobs::get(call, name),
        Op::DeleteJob { name } => jobs::delete(call, name).await,
        Op::Health { .. } => meta::health(call),
        Op::GetMetadata => meta::metadata(call),
        Op::SetMetadata { key } => meta::set(call, body, key).await,
    }
}
