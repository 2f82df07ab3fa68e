//! The call to the sidecar, rebuilt from what was parsed: path, query, headers and body are written again, and what
//! Dapr does not read of an operation is not sent.

use axum::body::Body;
use http::{
    HeaderMap, HeaderName, Method, Request,
    header::{ACCEPT, CONTENT_TYPE, IF_MATCH, USER_AGENT},
    request::Parts,
};
use wasmgate_common::path::encode_component;

use super::{allowed_metadata::is_allowed, bodies, names::Names};
use crate::{
    error::ApiError,
    event::{CLOUD_EVENTS, media_type},
    protocol::{
        message::{pairs, queries},
        operation::Operation as Op,
    },
};

/// Headers that every operation may carry: the trace, and those about the answer.
const COMMON: [HeaderName; 5] = [
    ACCEPT,
    USER_AGENT,
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("baggage"),
];

/// Metadata of secrets that does not lead to other secrets, as `namespace` does in Kubernetes: versions of one.
const SECRET_METADATA: [&str; 4] = ["version_id", "version_stage", "version", "maxresults"];

/// The request that asks the sidecar for `operation`.
pub(super) async fn request(
    operation: &Op,
    names: &Names<'_>,
    parts: &Parts,
    body: Body,
) -> Result<Request<Body>, ApiError> {
    let (method, path) = line(operation, names)?;
    let mut request = Request::new(bodies::body(operation, names, body).await?);
    *request.method_mut() = method;
    let target = format!("{path}{}", query(operation, names, parts));
    *request.uri_mut() = target
        .parse()
        .map_err(|_| ApiError::malformed("the path is no URI"))?;
    let headers = request.headers_mut();
    for name in &COMMON {
        copy(name, &parts.headers, headers);
    }
    match operation {
        Op::DeleteState { .. } => copy(&IF_MATCH, &parts.headers, headers),
        Op::GetState { .. } | Op::Health { .. } | Op::GetMetadata => {}
        _ => copy(&CONTENT_TYPE, &parts.headers, headers),
    }
    Ok(request)
}

/// The first value alone: that is the one that Go's `Header.Get` reads.
fn copy(name: &HeaderName, from: &HeaderMap, to: &mut HeaderMap) {
    if let Some(value) = from.get(name) {
        to.insert(name, value.clone());
    }
}

/// Method and path.
fn line(operation: &Op, names: &Names<'_>) -> Result<(Method, String), ApiError> {
    let (method, version, segments): (_, _, Vec<&str>);
    let renamed;
    match operation {
        Op::GetState { store, key } | Op::DeleteState { store, key } => {
            renamed = names.key(key)?;
            method = match operation {
                Op::GetState { .. } => Method::GET,
                _ => Method::DELETE,
            };
            (version, segments) = ("v1.0", vec!["state", store, &renamed]);
        }
        Op::ScheduleJob { name } | Op::GetJob { name } | Op::DeleteJob { name } => {
            renamed = names.job(name);
            method = match operation {
                Op::ScheduleJob { .. } => Method::POST,
                Op::GetJob { .. } => Method::GET,
                _ => Method::DELETE,
            };
            (version, segments) = ("v1.0", vec!["jobs", &renamed]);
        }
        _ => (method, version, segments) = fixed(operation)?,
    }
    let mut path = format!("/{version}");
    for segment in segments {
        path.push('/');
        path.push_str(&encode_component(segment));
    }
    Ok((method, path))
}

/// Method, version and segments of operations that name nothing that is renamed.
fn fixed(operation: &Op) -> Result<(Method, &'static str, Vec<&str>), ApiError> {
    let post = |segments| Ok((Method::POST, "v1.0", segments));
    let alpha = |segments| Ok((Method::POST, "v1.0-alpha1", segments));
    let get = |segments| Ok((Method::GET, "v1.0", segments));
    match operation {
        Op::SaveState { store } => post(vec!["state", store]),
        Op::BulkGetState { store } => post(vec!["state", store, "bulk"]),
        Op::Transact { store } => post(vec!["state", store, "transaction"]),
        Op::QueryState { store } => alpha(vec!["state", store, "query"]),
        Op::Publish { pubsub, topic } => post(vec!["publish", pubsub, topic]),
        Op::BulkPublish { pubsub, topic } => post(vec!["publish", "bulk", pubsub, topic]),
        Op::Bind { name } => post(vec!["bindings", name]),
        Op::GetSecret { store, key } => get(vec!["secrets", store, key]),
        Op::BulkSecrets { store } => get(vec!["secrets", store, "bulk"]),
        Op::GetConfiguration { store, .. } => get(vec!["configuration", store]),
        Op::SubscribeConfiguration { store, .. } => get(vec!["configuration", store, "subscribe"]),
        Op::UnsubscribeConfiguration { store, id } => get(vec!["configuration", store, id, "unsubscribe"]),
        Op::Lock { store } => alpha(vec!["lock", store]),
        Op::Unlock { store } => alpha(vec!["unlock", store]),
        Op::Health { outbound: false } => get(vec!["healthz"]),
        Op::Health { outbound: true } => get(vec!["healthz", "outbound"]),
        Op::GetMetadata => get(vec!["metadata"]),
        // Renamed, an invocation, or the gateway's own: none of them comes here.
        Op::GetState { .. }
        | Op::DeleteState { .. }
        | Op::ScheduleJob { .. }
        | Op::GetJob { .. }
        | Op::DeleteJob { .. }
        | Op::Invoke { .. }
        | Op::SetMetadata { .. } => Err(ApiError::malformed("this operation has no path here")),
    }
}

/// The query with its question mark, if there is one.
fn query(operation: &Op, names: &Names<'_>, parts: &Parts) -> String {
    let mut query: Vec<(String, String)> = Vec::new();
    match operation {
        Op::GetConfiguration { keys, .. } | Op::SubscribeConfiguration { keys, .. } => {
            query.extend(keys.iter().map(|key| ("key".to_owned(), key.clone())));
        }
        Op::GetState { .. } => first(&mut query, parts, "consistency"),
        Op::DeleteState { .. } => {
            first(&mut query, parts, "consistency");
            first(&mut query, parts, "concurrency");
        }
        Op::Health { .. } => first(&mut query, parts, "appid"),
        _ => {}
    }
    if matches!(operation, Op::Publish { .. }) && names.are_shared() && names_no_source(parts) {
        // The event is this package's, not the gateway's.
        query.push((
            "metadata.cloudevent.source".to_owned(),
            names.app().to_string(),
        ));
    }
    for (name, value) in pairs(parts) {
        let Some(key) = name.strip_prefix("metadata.") else {
            continue;
        };
        if takes_metadata(operation, key) && !query.iter().any(|(known, _)| *known == name) {
            query.push((name, value));
        }
    }
    let pairs: Vec<String> = query
        .iter()
        .map(|(name, value)| format!("{}={}", encode_component(name), encode_component(value)))
        .collect();
    match pairs.as_slice() {
        [] => String::new(),
        pairs => format!("?{}", pairs.join("&")),
    }
}

fn first(query: &mut Vec<(String, String)>, parts: &Parts, name: &str) {
    let value = queries(parts, name).into_iter().next();
    query.extend(value.map(|value| (name.to_owned(), value)));
}

fn takes_metadata(operation: &Op, key: &str) -> bool {
    match operation {
        Op::GetSecret { .. } | Op::BulkSecrets { .. } => SECRET_METADATA.contains(&key),
        Op::GetState { .. }
        | Op::SaveState { .. }
        | Op::DeleteState { .. }
        | Op::BulkGetState { .. }
        | Op::Transact { .. }
        | Op::QueryState { .. }
        | Op::Publish { .. }
        | Op::BulkPublish { .. }
        | Op::GetConfiguration { .. }
        | Op::SubscribeConfiguration { .. } => is_allowed(key),
        _ => false,
    }
}

/// Returns whether neither the body nor the query of a publish says where the event is from.
fn names_no_source(parts: &Parts) -> bool {
    let kind = parts.headers.get(CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok());
    let is_event = kind.is_some_and(|kind| media_type(kind) == CLOUD_EVENTS);
    !is_event && queries(parts, "metadata.cloudevent.source").is_empty()
}
