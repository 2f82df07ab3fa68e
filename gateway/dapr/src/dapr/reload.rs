//! Changes the apps and components of a running runtime.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures_util::future::join_all;

use super::Runtime;
use crate::{app::AppId, components::Components, grants::Grants};

pub(super) async fn reload(
    runtime: &Arc<Runtime>,
    components: Components,
    apps: BTreeMap<AppId, Grants>,
    changed: &BTreeSet<AppId>,
) {
    let api = &runtime.api;
    let is_new = api.components.replace(components);
    for gone in runtime.apps.all() {
        if !apps.contains_key(&gone) {
            forget(runtime, &gone);
        }
    }
    let mut ask = Vec::new();
    for (app, grants) in apps {
        let before = runtime.apps.grants_of(&app);
        if is_new || changed.contains(&app) || before != grants {
            api.configuration.regrant(&app, &grants);
            ask.push((app.clone(), grants.is_none()));
        }
        runtime.apps.insert(app, grants);
    }
    // Grants of one app can open a declared subscription to another: all are in place before anybody is asked.
    join_all(ask.iter().map(|(app, is_closed)| async move {
        if *is_closed {
            close(runtime, app);
        } else {
            introduce(runtime, app).await;
        }
    }))
    .await;
    if is_new && let Some(outside) = runtime.apps.insert_outside() {
        api.bindings.note_paths(&outside);
        runtime.components_changed.notify_one();
    }
}

async fn introduce(runtime: &Runtime, app: &AppId) {
    let api = &runtime.api;
    api.bindings.note_paths(app);
    api.pubsub.introduce(app).await;
    api.bindings.start(app.clone());
}

/// Ends what an app has of the building blocks.
fn close(runtime: &Runtime, app: &AppId) {
    let api = &runtime.api;
    api.bindings.end(app);
    api.pubsub.forget(app);
    api.configuration.forget(app);
    runtime.paths.forget(app);
}

fn forget(runtime: &Runtime, app: &AppId) {
    runtime.apps.remove(app);
    close(runtime, app);
}
