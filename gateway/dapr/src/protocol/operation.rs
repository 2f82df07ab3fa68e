//! The operations of the API by path: one table for the embedded runtime and for the sidecar.

use http::{HeaderMap, HeaderValue, header::AUTHORIZATION, request::Parts};
use wasmgate_common::path;

use super::message::queries;
use crate::{error::ApiError, event::lenient_unbase64};

/// Names the callee on any path.
pub(crate) const APP_ID: &str = "dapr-app-id";

/// An operation of the Dapr API, with what its path and its query name, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    GetState {
        store: String,
        key: String,
    },
    SaveState {
        store: String,
    },
    DeleteState {
        store: String,
        key: String,
    },
    BulkGetState {
        store: String,
    },
    Transact {
        store: String,
    },
    QueryState {
        store: String,
    },
    Publish {
        pubsub: String,
        topic: String,
    },
    BulkPublish {
        pubsub: String,
        topic: String,
    },
    /// `method` is the callee's path, written anew.
    Invoke {
        app: String,
        method: String,
    },
    Bind {
        name: String,
    },
    GetSecret {
        store: String,
        key: String,
    },
    BulkSecrets {
        store: String,
    },
    /// Without keys: all of the store.
    GetConfiguration {
        store: String,
        keys: Vec<String>,
    },
    SubscribeConfiguration {
        store: String,
        keys: Vec<String>,
    },
    UnsubscribeConfiguration {
        store: String,
        id: String,
    },
    Lock {
        store: String,
    },
    Unlock {
        store: String,
    },
    ScheduleJob {
        name: String,
    },
    GetJob {
        name: String,
    },
    DeleteJob {
        name: String,
    },
    Health {
        outbound: bool,
    },
    GetMetadata,
    SetMetadata {
        key: String,
    },
}

impl Operation {
    /// The operation that a request asks for.
    pub(crate) fn parse(parts: &Parts) -> Result<Self, ApiError> {
        let path = parts.uri.path();
        if let Some(app) = callee(&parts.headers)? {
            let method = path::from_segments(&path::segments(path)?);
            return Ok(Self::Invoke { app, method });
        }
        if let Some(invocation) = invocation(path)? {
            return Ok(invocation);
        }
        let segments = path::parameters(path)?;
        let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
        let Some((version, operation)) = segments.split_first() else {
            return Err(unknown(path));
        };
        let found = state(parts, operation)
            .or_else(|| messages(parts, operation))
            .or_else(|| stores(parts, operation))
            .or_else(|| others(parts, operation));
        found
            .filter(|operation| operation.is_of(version))
            .ok_or_else(|| unknown(path))
    }

    /// Returns true if Dapr serves the operation under this version of its API.
    fn is_of(&self, version: &str) -> bool {
        let alpha_alone = matches!(
            self,
            Self::QueryState { .. } | Self::Lock { .. } | Self::Unlock { .. }
        );
        let alpha_too = matches!(
            self,
            Self::BulkPublish { .. }
                | Self::GetConfiguration { .. }
                | Self::SubscribeConfiguration { .. }
                | Self::UnsubscribeConfiguration { .. }
                | Self::ScheduleJob { .. }
                | Self::GetJob { .. }
                | Self::DeleteJob { .. }
        );
        match version {
            "v1.0" => !alpha_alone,
            "v1.0-alpha1" => alpha_alone || alpha_too,
            _ => false,
        }
    }
}

/// The callee that the headers name of an invocation, whatever the path is: `dapr-app-id`, or a basic authorization
/// with that as its user.
fn callee(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    if let Some(app) = headers.get(APP_ID) {
        let app = app.to_str();
        let app = app.map_err(|_| ApiError::malformed("dapr-app-id is not text"))?;
        return Ok(Some(app.to_owned()));
    }
    Ok(headers.get_all(AUTHORIZATION).iter().find_map(addressed))
}

/// The app that an authorization names, if it is no credential but Dapr's way to address one.
pub(crate) fn addressed(authorization: &HeaderValue) -> Option<String> {
    let (scheme, token) = authorization.to_str().ok()?.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = lenient_unbase64(token.trim())?;
    let pair = String::from_utf8_lossy(&pair);
    let (user, app) = pair.split_once(':')?;
    user.eq_ignore_ascii_case(APP_ID).then(|| app.to_owned())
}

/// `/v1.0/invoke/{app}/method/{method}`. A plus sign is one here. Without a method there is a slash at the end.
fn invocation(path: &str) -> Result<Option<Operation>, ApiError> {
    if path::raw_segments(path).nth(1) != Some("invoke") {
        return Ok(None);
    }
    let segments = path::segments(path)?;
    let invocation = match segments.as_slice() {
        [version, _, app, method, rest @ ..]
            if version == "v1.0" && method == "method" && (!rest.is_empty() || path.ends_with('/')) =>
        {
            Some(Operation::Invoke {
                app: app.clone().into_owned(),
                method: path::from_segments(rest),
            })
        }
        _ => None,
    };
    Ok(invocation)
}

fn state(parts: &Parts, operation: &[&str]) -> Option<Operation> {
    Some(match (parts.method.as_str(), operation) {
        ("GET", ["state", store, key]) => Operation::GetState {
            store: (*store).to_owned(),
            key: (*key).to_owned(),
        },
        ("DELETE", ["state", store, key]) => Operation::DeleteState {
            store: (*store).to_owned(),
            key: (*key).to_owned(),
        },
        ("POST" | "PUT", ["state", store, rest @ ..]) => {
            let store = (*store).to_owned();
            match rest {
                [] => Operation::SaveState { store },
                ["bulk"] => Operation::BulkGetState { store },
                ["transaction"] => Operation::Transact { store },
                ["query"] => Operation::QueryState { store },
                _ => return None,
            }
        }
        _ => return None,
    })
}

fn messages(parts: &Parts, operation: &[&str]) -> Option<Operation> {
    Some(match (parts.method.as_str(), operation) {
        ("POST" | "PUT", ["publish", "bulk", pubsub, first, rest @ ..]) => Operation::BulkPublish {
            pubsub: (*pubsub).to_owned(),
            topic: joined(first, rest),
        },
        ("POST" | "PUT", ["publish", pubsub, first, rest @ ..]) => Operation::Publish {
            pubsub: (*pubsub).to_owned(),
            topic: joined(first, rest),
        },
        ("POST" | "PUT", ["bindings", name]) => Operation::Bind {
            name: (*name).to_owned(),
        },
        _ => return None,
    })
}

fn stores(parts: &Parts, operation: &[&str]) -> Option<Operation> {
    let keys = || queries(parts, "key");
    Some(match (parts.method.as_str(), operation) {
        ("GET", ["secrets", store, "bulk"]) => Operation::BulkSecrets {
            store: (*store).to_owned(),
        },
        ("GET", ["secrets", store, key]) => Operation::GetSecret {
            store: (*store).to_owned(),
            key: (*key).to_owned(),
        },
        ("GET", ["configuration", store]) => Operation::GetConfiguration {
            store: (*store).to_owned(),
            keys: keys(),
        },
        ("GET", ["configuration", store, "subscribe"]) => Operation::SubscribeConfiguration {
            store: (*store).to_owned(),
            keys: keys(),
        },
        ("GET", ["configuration", store, id, "unsubscribe"]) => Operation::UnsubscribeConfiguration {
            store: (*store).to_owned(),
            id: (*id).to_owned(),
        },
        ("POST", ["lock", store]) => Operation::Lock {
            store: (*store).to_owned(),
        },
        ("POST", ["unlock", store]) => Operation::Unlock {
            store: (*store).to_owned(),
        },
        _ => return None,
    })
}

fn others(parts: &Parts, operation: &[&str]) -> Option<Operation> {
    Some(match (parts.method.as_str(), operation) {
        (method @ ("POST" | "GET" | "DELETE"), ["jobs", name]) => {
            let name = (*name).to_owned();
            match method {
                "POST" => Operation::ScheduleJob { name },
                "GET" => Operation::GetJob { name },
                _ => Operation::DeleteJob { name },
            }
        }
        ("GET", ["healthz"]) => Operation::Health { outbound: false },
        ("GET", ["healthz", "outbound"]) => Operation::Health { outbound: true },
        ("GET", ["metadata"]) => Operation::GetMetadata,
        ("PUT", ["metadata", key]) => Operation::SetMetadata {
            key: (*key).to_owned(),
        },
        _ => return None,
    })
}

fn joined(first: &str, rest: &[&str]) -> String {
    let mut name = first.to_owned();
    for part in rest {
        name.push('/');
        name.push_str(part);
    }
    name
}

/// The answer to what is no operation here; it names the building block, if it is one of Dapr's others.
fn unknown(path: &str) -> ApiError {
    let block = match path.split('/').nth(2) {
        Some("workflows") => Some("workflow"),
        Some("actors") => Some("actors"),
        Some("conversation") => Some("conversation"),
        Some("crypto" | "subtlecrypto") => Some("cryptography"),
        _ => None,
    };
    let message = match block {
        Some(block) => format!(
            "Dapr's {block} is not served; the building blocks here are state, publish and subscribe, invocation, \
             bindings, secrets, configuration, locks and jobs"
        ),
        None => format!("there is no operation {path:?}; an invocation is /v1.0/invoke/<app-id>/method/<path>"),
    };
    ApiError::new(404, "ERR_DIRECT_INVOKE", message)
}
