//! From open to at work: in which order the building blocks start.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;

use super::Runtime;
use crate::{
    app::AppId,
    background::Background,
    broker::queue,
    state,
    store::{Store, StoreError},
    time::now_ms,
};

/// The pause between two removals of expired rows. They are invisible before that; this only frees room.
const SWEEP_PERIOD: Duration = Duration::from_secs(60);

/// Starts all background work; called once.
pub(super) async fn begin(runtime: &Arc<Runtime>) {
    let api = &runtime.api;
    if let Err(error) = api.state.clear_volatile().await {
        tracing::error!(%error, "stores in memory could not be emptied");
    }
    let apps = runtime.apps.granted();
    let outside = runtime.apps.insert_outside();
    let all = || apps.iter().chain(&outside);
    for app in all() {
        api.bindings.note_paths(app);
    }
    api.pubsub.recall(all()).await;
    let background = &runtime.background;
    background.spawn(sweep(runtime.store.clone(), background.clone()));
    api.jobs.start();
    api.configuration.start();
    if let Some(outside) = outside.clone() {
        background.spawn(introduce_outside(runtime.clone(), outside));
    }
    background.spawn(introduce_all(runtime.clone(), apps));
}

async fn introduce_all(runtime: Arc<Runtime>, apps: Vec<AppId>) {
    let api = &runtime.api;
    join_all(apps.iter().map(|app| api.pubsub.introduce(app))).await;
    api.ready.send_replace(true);
    for app in apps {
        api.bindings.start(app);
    }
}

/// Introduces the process beside this one. Nothing waits for it.
async fn introduce_outside(runtime: Arc<Runtime>, app: AppId) {
    if runtime.api.pubsub.introduce_outside(&app).await {
        tracing::info!(app_id = %app, "the process beside the gateway takes events and jobs");
        runtime.api.bindings.start(app);
    }
}

/// Removes expired rows, from time to time.
async fn sweep(store: Arc<Store>, background: Background) {
    loop {
        let swept = store.write(|conn| {
            state::sweep(conn, now_ms())?;
            queue::sweep(conn, now_ms())?;
            Ok::<_, StoreError>(())
        });
        if let Err(error) = swept.await {
            tracing::error!(%error, "expired rows could not be removed");
        }
        if !background.sleep(SWEEP_PERIOD).await {
            return;
        }
    }
}
