//! Configuration: items, and notices when they change.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::body::Body;
use futures_util::future::join_all;
use http::{Request, header::CONTENT_TYPE};
use serde_json::json;
use tokio::time::sleep;

use super::call::Call;
use crate::{
    app::AppId,
    components::find,
    error::{ApiError, ApiResult},
    grants::Grants,
    protocol::message::{json_answer, no_content},
    providers::configuration::{ConfigurationStore, Item, Items},
    runtime::Runtime,
};

/// How often a watched file is looked at. Looking is one system call.
const WATCH_PERIOD: Duration = Duration::from_millis(500);

/// How long an app may take for a notice; it is told again in the next round.
const NOTICE_TIMEOUT: Duration = Duration::from_secs(5);

/// Subscriptions of all apps together at most.
const MAX_WATCHERS: usize = 10_000;

/// A subscription to changes.
#[derive(Clone)]
pub(crate) struct Watcher {
    app: AppId,
    store: String,
    grants: Grants,
    /// Empty: every item.
    keys: Vec<String>,
    /// What the app has been told last.
    known: Items,
}

/// The items that there are; 204 if there are none.
pub(super) fn get(call: &Call<'_>, name: &str) -> ApiResult {
    let (items, _) = granted(call, name)?;
    if items.is_empty() {
        return no_content();
    }
    json_answer(json!(items).to_string())
}

pub(super) fn subscribe(call: &Call<'_>, name: &str) -> ApiResult {
    let (known, keys) = granted(call, name)?;
    let (app, grants) = (call.caller.clone(), call.grants.clone());
    let watcher = Watcher {
        app,
        store: name.to_owned(),
        grants,
        keys,
        known,
    };
    let id = uuid::Uuid::new_v4().to_string();
    let mut watchers = call.runtime.watchers.lock();
    if watchers.len() >= MAX_WATCHERS {
        let message = format!("there are {MAX_WATCHERS} subscriptions already; unsubscribe some");
        return Err(ApiError::new(500, "ERR_CONFIGURATION_SUBSCRIBE", message));
    }
    watchers.insert(id.clone(), watcher);
    json_answer(json!({"id": id}).to_string())
}

pub(super) fn unsubscribe(call: &Call<'_>, name: &str, id: &str) -> ApiResult {
    store(call, name)?;
    let mut watchers = call.runtime.watchers.lock();
    let own = watchers
        .get(id)
        .is_some_and(|watcher| watcher.app == *call.caller && watcher.store == name);
    if !own {
        let message = format!("there is no subscription {id:?} of this app");
        let mut response = json_answer(json!({"message": message}).to_string())?;
        *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
        return Ok(response);
    }
    watchers.remove(id);
    json_answer(json!({"ok": true}).to_string())
}

/// The items that the call asks for and may see, and their names if it named some.
fn granted(call: &Call<'_>, name: &str) -> Result<(Items, Vec<String>), ApiError> {
    let keys = call.queries("key");
    let items = store(call, name)?.items();
    let items = items.map_err(|reason| ApiError::new(500, "ERR_CONFIGURATION_GET", reason))?;
    let visible = |key: &str| {
        (keys.is_empty() || keys.iter().any(|wanted| wanted == key)) && call.grants.allows_configuration(name, key)
    };
    let items = items.iter().filter(|(key, _)| visible(key));
    Ok((
        items
            .map(|(key, item)| (key.clone(), item.clone()))
            .collect(),
        keys,
    ))
}

/// The store, if it exists and the caller may use it.
fn store<'a>(call: &Call<'a>, name: &str) -> Result<&'a ConfigurationStore, ApiError> {
    let stores = &call.runtime.components.configuration;
    if stores.is_empty() {
        let message = "no configuration store is configured";
        return Err(ApiError::new(
            500,
            "ERR_CONFIGURATION_STORE_NOT_CONFIGURED",
            message,
        ));
    }
    let store = find(stores, name, call.caller).ok_or_else(|| {
        let message = format!("configuration store {name:?} is not found");
        ApiError::new(400, "ERR_CONFIGURATION_STORE_NOT_FOUND", message)
    })?;
    Ok(&store.it)
}

/// Tells subscribers of changes, until the runtime stops.
pub(crate) async fn watch(runtime: Arc<Runtime>) {
    loop {
        tokio::select! {
            () = sleep(WATCH_PERIOD) => {}
            () = runtime.stopping.cancelled() => return,
        }
        let watchers: BTreeMap<String, Watcher> = runtime.watchers.lock().clone();
        // All at once, and none for long: an app that hangs does not hold up the others.
        join_all(
            watchers
                .iter()
                .map(|(id, watcher)| tell_changes(&runtime, id, watcher)),
        )
        .await;
    }
}

async fn tell_changes(runtime: &Arc<Runtime>, id: &str, watcher: &Watcher) {
    let Some(store) = runtime.components.configuration.get(&watcher.store) else {
        return;
    };
    for (key, item) in changes(&store.it, watcher) {
        if tell(runtime, watcher, id, &key, &item).await
            && let Some(watcher) = runtime.watchers.lock().get_mut(id)
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

/// Whether the app took the notice; otherwise it is told again.
async fn tell(runtime: &Arc<Runtime>, watcher: &Watcher, id: &str, key: &str, item: &Item) -> bool {
    let encode = |text| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
    let path = format!("/configuration/{}/{}", encode(&watcher.store), encode(key));
    let body = json!({"id": id, "items": {key: item}}).to_string();
    let request = Request::post(path)
        .header(CONTENT_TYPE, "application/json")
        .body(Body::from(body));
    let Ok(request) = request else { return true };
    match runtime
        .deliver_whole(&watcher.app, request, Some(NOTICE_TIMEOUT))
        .await
    {
        Ok((status, _)) => !status.is_server_error(),
        Err(_) => false,
    }
}
