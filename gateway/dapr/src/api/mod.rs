//! The Dapr HTTP API, served by the embedded runtime.

mod bindings;
mod call;
mod configuration;
mod guarded;
mod heavy;
mod jobs;
mod lock;
mod meta;
mod publish;
mod secrets;
mod state;

use std::sync::Arc;

use axum::body::Body;
use http::Response;
use tokio::sync::watch;

use call::Call;
pub(crate) use heavy::Heavy;

use crate::{
    app::AppId,
    bindings::Bindings,
    components::Current,
    configuration::Configuration,
    error::{ApiError, ApiResult},
    grants::Grants,
    invoke::Invocation,
    jobs::Jobs,
    lock::Locks,
    notes::Notes,
    protocol::{ApiRequest, message::bytes, operation::Operation},
    pubsub::PubSub,
    secrets::Secrets,
    state::{State, StateKeys},
};

/// The API: the building blocks that answer its calls, and the little that is of the API itself.
pub(crate) struct Api {
    pub(crate) state: State,
    pub(crate) pubsub: Arc<PubSub>,
    pub(crate) jobs: Arc<Jobs>,
    pub(crate) configuration: Arc<Configuration>,
    pub(crate) bindings: Arc<Bindings>,
    pub(crate) secrets: Secrets,
    pub(crate) locks: Locks,
    pub(crate) invocation: Invocation,
    /// For the metadata.
    pub(crate) components: Current,
    /// Extended metadata by app.
    pub(crate) notes: Notes,
    /// The places of calls that take much memory.
    pub(crate) heavy: Heavy,
    /// The apps have been asked for their subscriptions.
    pub(crate) ready: watch::Sender<bool>,
}

impl Api {
    /// Answers one call; every failure is an answer too.
    pub(crate) async fn answer(
        self: &Arc<Self>,
        caller: &AppId,
        grants: &Grants,
        request: ApiRequest,
    ) -> Response<Body> {
        match route(self, caller, grants, request).await {
            Ok(response) => response,
            Err(error) => error.into_response(),
        }
    }
}

impl Api {
    /// Lists an app's keys of a state store, which no request of Dapr's API can ask for.
    pub(crate) async fn state_keys(
        &self,
        caller: &AppId,
        grants: &Grants,
        (store, prefix): (&str, &str),
        after: Option<i64>,
    ) -> Result<StateKeys, ApiError> {
        if !grants.allows_state(store) {
            return Err(ApiError::not_granted("ERR_STATE_FORBIDDEN", "state", store));
        }
        let own = self.state.store(store, caller)?;
        // It reads as much as a query may.
        let like = Operation::QueryState {
            store: store.to_owned(),
        };
        let _place = self.heavy.place(caller, &like, 0).await;
        own.keys(prefix, after).await
    }
}

async fn route(api: &Arc<Api>, caller: &AppId, grants: &Grants, request: ApiRequest) -> ApiResult {
    let (operation, parts, mut body) = request.into_parts()?;
    operation.check(grants)?;
    if heavy::is_bounded(&operation) {
        let whole = bytes(body).await?;
        let place = api.heavy.place(caller, &operation, whole.len()).await;
        body = Body::from(whole);
        if let Some(place) = place {
            let (own, caller, grants) = (Arc::clone(api), caller.clone(), grants.clone());
            let work = async move {
                // Held until there is an answer.
                let _place = place;
                let call = &Call {
                    api: &own,
                    caller: &caller,
                    grants: &grants,
                    parts: &parts,
                };
                perform_guarded(call, &operation, body).await
            };
            // Few calls are heavy, so the others are no larger for it.
            return Box::pin(api.heavy.apart(work)).await;
        }
    }
    let call = &Call {
        api,
        caller,
        grants,
        parts: &parts,
    };
    perform_guarded(call, &operation, body).await
}

/// Does what a call asks for, under the policy for the component that it uses.
async fn perform_guarded(call: &Call<'_>, operation: &Operation, body: Body) -> ApiResult {
    if let Some(used) = guarded::used(operation) {
        let policy = call
            .api
            .components
            .load()
            .resiliency
            .outbound(call.caller, used.kind, used.name);
        if !policy.is_none() {
            // Few calls have a policy, so the others are no larger for it.
            return Box::pin(guarded::guarded(call, &policy, used, operation, body)).await;
        }
    }
    perform(call, operation, body).await
}

/// Does what a call asks for.
async fn perform(call: &Call<'_>, operation: &Operation, body: Body) -> ApiResult {
    use Operation as Op;
    match operation {
        Op::GetState { store, key } => state::get(call, store, key),
        Op::SaveState { store } => state::save(call, body, store).await,
        Op::DeleteState { store, key } => state::delete(call, store, key).await,
        Op::BulkGetState { store } => state::bulk_get(call, body, store).await,
        Op::Transact { store } => state::transact(call, body, store).await,
        Op::QueryState { store } => state::query(call, body, store).await,
        Op::Publish { pubsub, topic } => publish::publish(call, body, pubsub, topic).await,
        Op::BulkPublish { pubsub, topic } => publish::bulk(call, body, pubsub, topic).await,
        Op::Invoke { app, method } => {
            let (caller, parts) = (call.caller, call.parts);
            // The largest, and it calls a guest: the others are smaller without it.
            let invoking = call.api.invocation.invoke(caller, parts, body, app, method);
            Box::pin(invoking).await
        }
        Op::Bind { name } => Box::pin(bindings::invoke(call, body, name)).await,
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
