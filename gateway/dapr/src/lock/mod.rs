//! Locks with an owner and an expiry.

mod table;

use std::sync::Arc;

pub(crate) use table::{Unlock, sweep};

use crate::{
    app::{AppId, Apps},
    components::{Current, find},
    error::ApiError,
    key::full_key,
    protocol::body::forms::Claim,
    quotas::Kept,
    store::{Store, StoreError, store_error, usage::Meter},
    time::now_ms,
};

/// The building block.
pub(crate) struct Locks {
    store: Arc<Store>,
    components: Current,
    /// For their quotas.
    apps: Arc<Apps>,
}

impl Locks {
    pub(crate) fn new(store: Arc<Store>, components: Current, apps: Arc<Apps>) -> Self {
        Self {
            store,
            components,
            apps,
        }
    }

    /// Takes a lock of store `name` for `app`; false if another owner holds it.
    pub(crate) async fn lock(&self, app: &AppId, name: &str, claim: Claim) -> Result<bool, ApiError> {
        let seconds = claim.expiry_in_seconds.unwrap_or_default();
        if seconds <= 0 {
            return Err(ApiError::malformed("expiryInSeconds must be positive"));
        }
        let resource = self.resource(app, name, &claim, "ERR_TRY_LOCK")?;
        let store = name.to_owned();
        let (taker, quotas) = (app.clone(), self.apps.quotas_of(app));
        let taken = self.store.write_for(app, 1, move |conn| {
            let now = now_ms();
            let expires_at = now.saturating_add(i64::from(seconds) * 1000);
            let meter = Meter::read(conn, &taker, Kept::Locks, &quotas)?;
            let place = (taker.as_str(), store.as_str());
            let taken = table::try_lock(conn, place, &resource, &claim.lock_owner, now, expires_at)?;
            meter.check(conn, Some(table::sweep))?;
            Ok(taken)
        });
        let taken = taken.await;
        taken.map_err(|error: StoreError| store_error("ERR_TRY_LOCK", &error))
    }

    /// Gives a lock back.
    pub(crate) async fn unlock(&self, app: &AppId, name: &str, claim: Claim) -> Result<Unlock, ApiError> {
        let resource = self.resource(app, name, &claim, "ERR_UNLOCK")?;
        let store = name.to_owned();
        let unlock =
            move |conn: &rusqlite::Connection| table::unlock(conn, &store, &resource, &claim.lock_owner, now_ms());
        let unlocked = self.store.write_for(app, 1, unlock).await;
        unlocked.map_err(|error: StoreError| store_error("ERR_UNLOCK", &error))
    }

    fn resource(&self, app: &AppId, name: &str, claim: &Claim, code: &'static str) -> Result<String, ApiError> {
        let components = self.components.load();
        let stores = &components.locks;
        if stores.is_empty() {
            let message = "no lock store is configured";
            return Err(ApiError::new(500, "ERR_LOCK_STORE_NOT_CONFIGURED", message));
        }
        if claim.resource_id.is_empty() {
            return Err(ApiError::malformed(
                "resourceId is empty; name what is locked",
            ));
        }
        if claim.lock_owner.is_empty() {
            return Err(ApiError::malformed(
                "lockOwner is empty; name who takes the lock",
            ));
        }
        let Some(store) = find(stores, name, app) else {
            let message = format!("lock store {name:?} is not found");
            return Err(ApiError::new(400, "ERR_LOCK_STORE_NOT_FOUND", message));
        };
        full_key(&store.it.prefix.of(name, app), &claim.resource_id)
            .map_err(|error| ApiError::new(500, code, error.message()))
    }
}
