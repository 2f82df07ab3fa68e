//! Which path is which operation, and which grant it needs: one table for the embedded runtime and
//! for the sidecar.

use std::borrow::Cow;

use http::request::Parts;
use percent_encoding::percent_decode_str;

use super::call::queries;
use crate::{error::ApiError, grants::Grants};

/// Names the callee on any path.
pub(crate) const APP_ID: &str = "dapr-app-id";

/// An operation of the Dapr API, with what its path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation<'a> {
    GetState {
        store: &'a str,
        key: &'a str,
    },
    SaveState {
        store: &'a str,
    },
    DeleteState {
        store: &'a str,
        key: &'a str,
    },
    BulkGetState {
        store: &'a str,
    },
    Transact {
        store: &'a str,
    },
    QueryState {
        store: &'a str,
    },
    Publish {
        pubsub: &'a str,
        topic: String,
    },
    BulkPublish {
        pubsub: &'a str,
        topic: String,
    },
    /// `method` is the callee's path as it was written.
    Invoke {
        app: &'a str,
        method: &'a str,
    },
    Bind {
        name: &'a str,
    },
    GetSecret {
        store: &'a str,
        key: String,
    },
    BulkSecrets {
        store: &'a str,
    },
    GetConfiguration {
        store: &'a str,
    },
    SubscribeConfiguration {
        store: &'a str,
    },
    UnsubscribeConfiguration {
        store: &'a str,
        id: &'a str,
    },
    Lock {
        store: &'a str,
    },
    Unlock {
        store: &'a str,
    },
    ScheduleJob {
        name: &'a str,
    },
    GetJob {
        name: &'a str,
    },
    DeleteJob {
        name: &'a str,
    },
    Health,
    GetMetadata,
    SetMetadata {
        key: &'a str,
    },
}

/// The path's segments, decoded; a slash at the end is dropped.
pub(crate) fn segments(path: &str) -> Result<Vec<Cow<'_, str>>, ApiError> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let segments = path.trim_end_matches('/').split('/');
    let decoded = segments.map(|segment| percent_decode_str(segment).decode_utf8());
    decoded
        .collect::<Result<_, _>>()
        .map_err(|_| ApiError::malformed("the path is not UTF-8"))
}

impl<'a> Operation<'a> {
    /// The operation that a request to these [`segments`] asks for.
    pub(crate) fn parse(parts: &'a Parts, segments: &'a [Cow<'a, str>]) -> Result<Self, ApiError> {
        let path = parts.uri.path();
        if let Some(app) = parts.headers.get(APP_ID) {
            let app = app
                .to_str()
                .map_err(|_| ApiError::malformed("dapr-app-id is not text"))?;
            return Ok(Self::Invoke { app, method: path });
        }
        let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
        // The alpha and beta versions of an operation answer like the stable one.
        let operation = match segments.as_slice() {
            [
                "v1.0" | "v1.0-alpha1" | "v1.0-alpha2" | "v1.0-beta1",
                operation @ ..,
            ] => operation,
            _ => return Err(unknown(path)),
        };
        Ok(match (parts.method.as_str(), operation) {
            ("GET", ["state", store, key]) => Self::GetState { store, key },
            ("POST" | "PUT", ["state", store]) => Self::SaveState { store },
            ("POST" | "PUT", ["state", store, "bulk"]) => Self::BulkGetState { store },
            ("POST" | "PUT", ["state", store, "transaction"]) => Self::Transact { store },
            ("POST" | "PUT", ["state", store, "query"]) => Self::QueryState { store },
            ("DELETE", ["state", store, key]) => Self::DeleteState { store, key },
            // Dapr cleans the path first, so that there is no empty topic.
            ("POST" | "PUT", ["publish", "bulk", pubsub, topic @ ..]) if !topic.is_empty() => {
                Self::BulkPublish {
                    pubsub,
                    topic: topic.join("/"),
                }
            }
            ("POST" | "PUT", ["publish", pubsub, topic @ ..]) if !topic.is_empty() => {
                Self::Publish {
                    pubsub,
                    topic: topic.join("/"),
                }
            }
            (_, ["invoke", app, "method", ..]) => {
                let mut raw = path.trim_start_matches('/').splitn(5, '/');
                Self::Invoke {
                    app,
                    method: raw.nth(4).unwrap_or_default(),
                }
            }
            ("POST" | "PUT", ["bindings", name]) => Self::Bind { name },
            ("GET", ["secrets", store, "bulk"]) => Self::BulkSecrets { store },
            ("GET", ["secrets", store, key @ ..]) if !key.is_empty() => Self::GetSecret {
                store,
                key: key.join("/"),
            },
            ("GET", ["configuration", store]) => Self::GetConfiguration { store },
            ("GET", ["configuration", store, "subscribe"]) => {
                Self::SubscribeConfiguration { store }
            }
            ("GET", ["configuration", store, id, "unsubscribe"]) => {
                Self::UnsubscribeConfiguration { store, id }
            }
            ("POST", ["lock", store]) => Self::Lock { store },
            ("POST", ["unlock", store]) => Self::Unlock { store },
            ("POST", ["jobs", name]) => Self::ScheduleJob { name },
            ("GET", ["jobs", name]) => Self::GetJob { name },
            ("DELETE", ["jobs", name]) => Self::DeleteJob { name },
            ("GET", ["healthz"] | ["healthz", "outbound"]) => Self::Health,
            ("GET", ["metadata"]) => Self::GetMetadata,
            ("PUT", ["metadata", key]) => Self::SetMetadata { key },
            _ => return Err(unknown(path)),
        })
    }

    /// Refuses what the grants do not give. Lists of secrets and of configuration are also
    /// filtered by who answers them.
    pub(crate) fn check(&self, grants: &Grants, parts: &Parts) -> Result<(), ApiError> {
        let granted = |granted: bool, code, block, name: &str| match granted {
            true => Ok(()),
            false => Err(ApiError::not_granted(code, block, name)),
        };
        match self {
            Self::GetState { store, .. }
            | Self::SaveState { store }
            | Self::DeleteState { store, .. }
            | Self::BulkGetState { store }
            | Self::Transact { store }
            | Self::QueryState { store } => granted(
                grants.allows_state(store),
                "ERR_STATE_FORBIDDEN",
                "state",
                store,
            ),
            Self::Publish { pubsub, topic } | Self::BulkPublish { pubsub, topic } => granted(
                grants.allows_publish(pubsub, topic),
                "ERR_PUBSUB_FORBIDDEN",
                "publish",
                &format!("{pubsub}/{topic}"),
            ),
            Self::Invoke { app, .. } => granted(
                grants.allows_invoke(app),
                "ERR_DIRECT_INVOKE",
                "invoke",
                app,
            ),
            Self::Bind { name } => {
                let allowed = grants.allows_binding(name);
                granted(allowed, "ERR_INVOKE_OUTPUT_BINDING", "bindings", name)
            }
            Self::GetSecret { store, key } => granted(
                grants.allows_secret(store, key),
                "ERR_PERMISSION_DENIED",
                "secrets",
                &format!("{store}/{key}"),
            ),
            Self::BulkSecrets { store } => granted(
                !grants.secrets.is_empty(),
                "ERR_PERMISSION_DENIED",
                "secrets",
                store,
            ),
            Self::GetConfiguration { store }
            | Self::SubscribeConfiguration { store }
            | Self::UnsubscribeConfiguration { store, .. } => {
                let code = "ERR_PERMISSION_DENIED";
                let keys = queries(parts, "key");
                if keys.is_empty() {
                    let some = !grants.configuration.is_empty();
                    return granted(some, code, "configuration", store);
                }
                keys.iter().try_for_each(|key| {
                    let name = format!("{store}/{key}");
                    granted(
                        grants.allows_configuration(store, key),
                        code,
                        "configuration",
                        &name,
                    )
                })
            }
            Self::Lock { store } | Self::Unlock { store } => granted(
                grants.allows_lock(store),
                "ERR_LOCK_FORBIDDEN",
                "lock",
                store,
            ),
            Self::ScheduleJob { name } | Self::GetJob { name } | Self::DeleteJob { name } => {
                granted(grants.allows_jobs(), "ERR_JOBS_FORBIDDEN", "jobs", name)
            }
            Self::Health | Self::GetMetadata | Self::SetMetadata { .. } => Ok(()),
        }
    }
}

fn unknown(path: &str) -> ApiError {
    let message = format!(
        "there is no operation {path:?}; an invocation is /v1.0/invoke/<app-id>/method/<path>"
    );
    ApiError::new(404, "ERR_DIRECT_INVOKE", message)
}
