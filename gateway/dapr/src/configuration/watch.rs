//! Notifications of changes: files are polled, and apps notified.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::body::Body;
use futures_util::future::join_all;
use http::{Request, header::CONTENT_TYPE};
use serde_json::json;
use wasmgate_common::path::encode_component;

use super::Configuration;
use crate::{
    app::AppId,
    grants::Grants,
    providers::configuration::{ConfigurationStore, Item, Items},
};

/// The pause between two looks at a watched file. Looking is one system call.
const WATCH_PERIOD: Duration = Duration::from_millis(500);

/// The time that an app may take over a notice; it is told again in the next round.
const NOTICE_TIMEOUT: Duration = Duration::from_secs(5);

/// A subscription to changes.
#[derive(Clone)]
pub(super) struct Watcher {
    pub(super) app: AppId,
    pub(super) store: String,
    pub(super) grants: Grants,
    /// Empty: every item.
    pub(super) keys: Vec<String>,
    /// The items that the app has been told last.
    pub(super) known: Items,
}

/// Tells subscribers of changes, until the runtime stops.
pub(super) async fn run(block: Arc<Configuration>) {
    while block.background.sleep(WATCH_PERIOD).await {
        let watchers: BTreeMap<String, Watcher> = block.watchers.lock().clone();
        // All at once, and none for long: an app that hangs does not hold up the others.
        join_all(
            watchers
                .iter()
                .map(|(id, watcher)| tell_changes(&block, id, watcher)),
        )
        .await;
    }
}

async fn tell_changes(block: &Configuration, id: &str, watcher: &Watcher) {
    let components = block.components.load();
    let Some(store) = components.configuration.get(&watcher.store) else {
        return;
    };
    for (key, item) in changes(&store.it, watcher) {
        if tell(block, watcher, id, &key, &item).await
            && let Some(watcher) = block.watchers.lock().get_mut(id)
        {
            watcher.known.insert(key, item);
        }
    }
}

fn changes(store: &ConfigurationStore, watcher: &Watcher) -> Items {
    let items = match store.items() {
        Ok(items) => items,
        Err(reason) => {
            tracing::warn!(
                store = watcher.store,
                reason,
                "a configuration file is unreadable"
            );
            return Items::new();
        }
    };
    let wanted = |key: &String| {
        (watcher.keys.is_empty() || watcher.keys.contains(key))
            && watcher.grants.allows_configuration(&watcher.store, key)
    };
    let changed = items
        .iter()
        .filter(|(key, item)| wanted(key) && watcher.known.get(*key) != Some(*item))
        .map(|(key, item)| (key.clone(), item.clone()));
    // What is gone is told as an empty item, once.
    let known = watcher.known.iter();
    let gone = known
        .filter(|(key, item)| wanted(key) && !items.contains_key(*key) && **item != Item::default())
        .map(|(key, _)| (key.clone(), Item::default()));
    changed.chain(gone).collect()
}

/// Tells the app; returns false if it has to be told again.
async fn tell(block: &Configuration, watcher: &Watcher, id: &str, key: &str, item: &Item) -> bool {
    let path = format!(
        "/configuration/{}/{}",
        encode_component(&watcher.store),
        encode_component(key)
    );
    let body = json!({"id": id, "items": {key: item}}).to_string();
    let request = Request::post(path)
        .header(CONTENT_TYPE, "application/json")
        .body(Body::from(body));
    let Ok(request) = request else { return true };
    match block
        .apps
        .deliver_whole(&watcher.app, request, Some(NOTICE_TIMEOUT))
        .await
    {
        Ok((status, _)) => !status.is_server_error(),
        Err(_) => false,
    }
}
