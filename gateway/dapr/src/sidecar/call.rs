//! A package's call, answered by the sidecar.

use axum::body::Body;
use http::{Request, Response, StatusCode, header, request::Parts};

use super::{
    answers,
    client::collect,
    health, meta,
    names::{INVOKED_BY, Names},
    outgoing, query,
    shared::Shared,
};
use crate::{
    app::AppId,
    configuration,
    error::{ApiError, ApiResult},
    grants::Grants,
    invoke,
    protocol::{ApiRequest, message::header_value, operation::Operation},
};

/// Answers one call of a package.
pub(super) async fn answer(shared: &Shared, caller: &AppId, grants: &Grants, request: ApiRequest) -> ApiResult {
    let (operation, parts, body) = request.into_parts()?;
    operation.check(grants)?;
    let names = &Names::new(caller, shared.has_shared_sidecar());
    match &operation {
        Operation::Invoke { app, method } => {
            return invoke_app(shared, names, &parts, body, app, method).await;
        }
        Operation::SetMetadata { key } => return meta::note(shared, names, body, key).await,
        Operation::QueryState { .. } if names.are_shared() => {
            return query::run(shared, &operation, names, &parts, body).await;
        }
        Operation::SubscribeConfiguration { .. } => {
            let watchers = shared.watchers.lock();
            configuration::check_quota(watchers.values().filter(|owner| *owner == caller).count())?;
        }
        Operation::UnsubscribeConfiguration { id, .. } => check_watcher(shared, caller, id)?,
        Operation::Publish { pubsub, topic } | Operation::BulkPublish { pubsub, topic } => {
            health::wait_for_subscribers(shared, pubsub, topic).await;
        }
        _ => {}
    }
    let request = outgoing::request(&operation, names, &parts, body).await?;
    let response = shared.client.send(request).await?;
    if let Operation::UnsubscribeConfiguration { id, .. } = &operation {
        shared.watchers.lock().remove(id);
    }
    let is_meta = operation == Operation::GetMetadata && names.are_shared();
    if !response.status().is_success() || !(is_meta || answers::are_read(&operation, names)) {
        return Ok(response);
    }
    let (mut head, body) = response.into_parts();
    let body = collect(body).await?;
    if is_meta {
        return meta::response(meta::answer(shared, names, grants, &body)?);
    }
    if let Operation::SubscribeConfiguration { .. } = &operation {
        remember_watcher(shared, caller, &body);
    }
    let body = answers::answer(&operation, names, grants, &body)?;
    if body.is_empty() {
        head.status = StatusCode::NO_CONTENT;
    }
    head.headers.remove(header::CONTENT_LENGTH);
    Ok(Response::from_parts(head, Body::from(body)))
}

/// Calls another app: in process if it is a package here, else by the sidecar.
async fn invoke_app(
    shared: &Shared,
    names: &Names<'_>,
    parts: &Parts,
    body: Body,
    app: &str,
    method: &str,
) -> ApiResult {
    let callee = invoke::callee(app)?;
    if shared.apps.load().contains_key(&callee) && !shared.settings.invoke_remotely {
        let request = invoke::outgoing(parts, body, names.app(), &callee, method)?;
        return invoke::invoked(shared.channel.deliver(&callee, request).await).await;
    }
    let depth = invoke::of_invocation(parts)?;
    let query = parts.uri.query().map(|query| format!("?{query}"));
    let target = format!(
        "/v1.0/invoke/{callee}/method{method}{}",
        query.unwrap_or_default()
    );
    let mut request = Request::new(body);
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = target
        .parse()
        .map_err(|_| ApiError::malformed("the path is no URI"))?;
    *request.headers_mut() = invoke::passed_on(&parts.headers);
    let headers = request.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(invoke::DEPTH, depth);
    // Should the call come back here, it is an invocation: the sidecar does not say so of its own app's.
    if let Some(app) = header_value(names.app().as_str()) {
        headers.insert(INVOKED_BY, app);
    }
    shared.client.send(request).await
}

/// Refuses to end another package's subscription.
fn check_watcher(shared: &Shared, caller: &AppId, id: &str) -> Result<(), ApiError> {
    let watchers = shared.watchers.lock();
    if watchers.get(id).is_none_or(|owner| owner == caller) {
        return Ok(());
    }
    let message = format!("there is no subscription {id:?} of this app");
    Err(ApiError::new(500, "ERR_CONFIGURATION_UNSUBSCRIBE", message))
}

fn remember_watcher(shared: &Shared, caller: &AppId, answer: &[u8]) {
    #[derive(serde::Deserialize)]
    struct Subscribed {
        id: String,
    }
    let Ok(Subscribed { id }) = serde_json::from_slice(answer) else {
        return;
    };
    shared.watchers.lock().insert(id, caller.clone());
}
