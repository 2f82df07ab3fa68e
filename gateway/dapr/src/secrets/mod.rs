//! Secrets of the stores that an app may read.

use std::collections::BTreeMap;

use crate::{
    app::AppId,
    components::{Components, Current, find},
    error::ApiError,
    grants::Grants,
    providers::secrets::SecretStore,
};

/// The building block.
pub(crate) struct Secrets {
    components: Current,
}

/// The values of one secret by key.
pub(crate) type Secret = BTreeMap<String, String>;

impl Secrets {
    pub(crate) fn new(components: Current) -> Self {
        Self { components }
    }

    /// The values of secret `key`.
    pub(crate) fn get(&self, app: &AppId, name: &str, key: &str) -> Result<Secret, ApiError> {
        let components = self.components.load();
        let store = store(&components, app, name)?;
        store.get(key).cloned().ok_or_else(|| {
            let help = match store.listed_variables() {
                Some(_) => "; what it has of the gateway's environment is listed in [dapr] secret_env",
                None => "",
            };
            let message = format!("secret store {name:?} has no secret {key:?}{help}");
            ApiError::new(500, "ERR_SECRET_GET", message)
        })
    }

    /// Every secret that is granted; the others are as if they were not.
    pub(crate) fn all(&self, app: &AppId, grants: &Grants, name: &str) -> Result<BTreeMap<String, Secret>, ApiError> {
        let components = self.components.load();
        let all = store(&components, app, name)?.all();
        let granted: BTreeMap<_, _> = all
            .iter()
            .filter(|(key, _)| grants.allows_secret(name, key))
            .map(|(key, secret)| (key.clone(), secret.clone()))
            .collect();
        if granted.is_empty() && !all.is_empty() {
            return Err(ApiError::not_granted(
                "ERR_PERMISSION_DENIED",
                "secrets",
                name,
            ));
        }
        Ok(granted)
    }
}

/// The store `name`, if `app` may use it.
fn store<'a>(components: &'a Components, app: &AppId, name: &str) -> Result<&'a SecretStore, ApiError> {
    let stores = &components.secrets;
    if stores.is_empty() {
        let message = "no secret store is configured";
        return Err(ApiError::new(
            500,
            "ERR_SECRET_STORES_NOT_CONFIGURED",
            message,
        ));
    }
    find(stores, name, app)
        .map(|component| &component.it)
        .ok_or_else(|| {
            let message = format!("secret store {name:?} is not found");
            ApiError::new(401, "ERR_SECRET_STORE_NOT_FOUND", message)
        })
}
