//! The grant that each operation needs: one table for the embedded runtime and for the sidecar.

use super::operation::Operation;
use crate::{error::ApiError, grants::Grants};

impl Operation {
    /// Refuses what the grants do not give. Lists of secrets and of configuration are also
    /// filtered by who answers them.
    pub(crate) fn check(&self, grants: &Grants) -> Result<(), ApiError> {
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
                grants.sees_secrets(store),
                "ERR_PERMISSION_DENIED",
                "secrets",
                store,
            ),
            Self::UnsubscribeConfiguration { store, .. } => granted(
                grants.sees_configuration(store),
                "ERR_PERMISSION_DENIED",
                "configuration",
                store,
            ),
            Self::GetConfiguration { store, keys } | Self::SubscribeConfiguration { store, keys } => {
                let code = "ERR_PERMISSION_DENIED";
                if keys.is_empty() {
                    let some = grants.sees_configuration(store);
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
            Self::Health { .. } | Self::GetMetadata | Self::SetMetadata { .. } => Ok(()),
        }
    }
}
