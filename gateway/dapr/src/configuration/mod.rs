//! Configuration: items, and notifications of changes.

mod watch;

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use watch::Watcher;

use crate::{
    app::{AppId, Apps},
    background::Background,
    components::{Components, Current, find},
    error::ApiError,
    grants::Grants,
    providers::configuration::{ConfigurationStore, Items},
};

/// Subscriptions of one app at most: none needs more than one for each of its items, and others' are not to be had for
/// less.
const MAX_WATCHERS: usize = 100;

/// Refuses a subscription of an app that has as many as it may.
pub(crate) fn check_quota(subscriptions: usize) -> Result<(), ApiError> {
    if subscriptions < MAX_WATCHERS {
        return Ok(());
    }
    let message = format!("the app has {MAX_WATCHERS} subscriptions already; unsubscribe some");
    Err(ApiError::new(500, "ERR_CONFIGURATION_SUBSCRIBE", message))
}

/// The block's surroundings.
pub(crate) struct Options {
    pub(crate) components: Current,
    pub(crate) apps: Arc<Apps>,
    pub(crate) background: Background,
}

/// The building block.
pub(crate) struct Configuration {
    components: Current,
    apps: Arc<Apps>,
    background: Background,
    /// Subscriptions to changes by their ids.
    watchers: Mutex<BTreeMap<String, Watcher>>,
}

impl Configuration {
    pub(crate) fn new(options: Options) -> Self {
        let Options {
            components,
            apps,
            background,
        } = options;
        Self {
            components,
            apps,
            background,
            watchers: Mutex::default(),
        }
    }

    /// Tells subscribers of changes in the background.
    pub(crate) fn start(self: &Arc<Self>) {
        self.background.spawn(watch::run(Arc::clone(self)));
    }

    /// The items of `keys`, or all if there are none, as far as they are granted.
    pub(crate) fn get(&self, app: &AppId, grants: &Grants, name: &str, keys: &[String]) -> Result<Items, ApiError> {
        let components = self.components.load();
        let items = store(&components, app, name)?.items();
        let items = items.map_err(|reason| ApiError::new(500, "ERR_CONFIGURATION_GET", reason))?;
        let visible = |key: &str| {
            (keys.is_empty() || keys.iter().any(|wanted| wanted == key)) && grants.allows_configuration(name, key)
        };
        let items = items.iter().filter(|(key, _)| visible(key));
        let items = items.map(|(key, item)| (key.clone(), item.clone()));
        Ok(items.collect())
    }

    /// Subscribes `app` to changes of these items; answers the subscription's id.
    pub(crate) fn subscribe(
        &self,
        app: &AppId,
        grants: &Grants,
        name: &str,
        keys: Vec<String>,
    ) -> Result<String, ApiError> {
        let known = self.get(app, grants, name, &keys)?;
        let watcher = Watcher {
            app: app.clone(),
            store: name.to_owned(),
            grants: grants.clone(),
            keys,
            known,
        };
        let id = uuid::Uuid::new_v4().to_string();
        let mut watchers = self.watchers.lock();
        let own = watchers.values().filter(|watcher| watcher.app == *app);
        check_quota(own.count())?;
        watchers.insert(id.clone(), watcher);
        Ok(id)
    }

    /// Ends every subscription of an app that is gone.
    pub(crate) fn forget(&self, app: &AppId) {
        self.watchers
            .lock()
            .retain(|_, watcher| watcher.app != *app);
    }

    /// Has the subscriptions of `app` tell it what these grants allow.
    pub(crate) fn regrant(&self, app: &AppId, grants: &Grants) {
        let mut watchers = self.watchers.lock();
        let own = watchers.values_mut().filter(|watcher| watcher.app == *app);
        own.for_each(|watcher| watcher.grants.clone_from(grants));
    }

    /// Ends a subscription of `app`; false if it has none of this id.
    pub(crate) fn unsubscribe(&self, app: &AppId, name: &str, id: &str) -> Result<bool, ApiError> {
        store(&self.components.load(), app, name)?;
        let mut watchers = self.watchers.lock();
        let own = watchers
            .get(id)
            .is_some_and(|watcher| watcher.app == *app && watcher.store == name);
        if own {
            watchers.remove(id);
        }
        Ok(own)
    }
}

/// The store `name`, if `app` may use it.
fn store<'a>(components: &'a Components, app: &AppId, name: &str) -> Result<&'a ConfigurationStore, ApiError> {
    let stores = &components.configuration;
    if stores.is_empty() {
        let message = "no configuration store is configured";
        return Err(ApiError::new(
            500,
            "ERR_CONFIGURATION_STORE_NOT_CONFIGURED",
            message,
        ));
    }
    let store = find(stores, name, app).ok_or_else(|| {
        let message = format!("configuration store {name:?} is not found");
        ApiError::new(400, "ERR_CONFIGURATION_STORE_NOT_FOUND", message)
    })?;
    Ok(&store.it)
}
