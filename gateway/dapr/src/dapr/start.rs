//! Starts the building blocks in order.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;

use super::{Runtime, outside};
use crate::{
    app::AppId,
    background::Background,
    broker::queue,
    lock, state,
    store::{SLICE, Store, StoreError},
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
    let process = runtime.apps.insert_outside();
    let all = || apps.iter().chain(&process);
    for app in all() {
        api.bindings.note_paths(app);
    }
    api.pubsub.recall(all()).await;
    let background = &runtime.background;
    background.spawn(sweep(runtime.store.clone(), background.clone()));
    api.jobs.start();
    api.configuration.start();
    if let Some(process) = process.clone() {
        background.spawn(outside::follow(runtime.clone(), process));
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

/// Removes expired rows, from time to time.
async fn sweep(store: Arc<Store>, background: Background) {
    loop {
        if let Err(error) = sweep_once(&store).await {
            tracing::error!(%error, "expired rows could not be removed");
        }
        if !background.sleep(SWEEP_PERIOD).await {
            return;
        }
    }
}

async fn sweep_once(store: &Store) -> Result<(), StoreError> {
    for sweep in [state::sweep, queue::sweep, lock::sweep] {
        // A few at a time, so that the apps' writes have their turn in between.
        while store
            .write(move |conn| sweep(conn, now_ms(), SLICE))
            .await?
            >= SLICE
        {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_has_expired_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let past = SLICE * 2 + 1;
        let insert = move |conn: &rusqlite::Connection| {
            for n in 0..i64::try_from(past).unwrap() + 3 {
                let at = if n < i64::try_from(past).unwrap() {
                    1
                } else {
                    i64::MAX
                };
                conn.execute("INSERT INTO lock VALUES ('l', ?1, 'me', ?2, 'a')", (n, at))?;
                conn.execute(
                    "INSERT INTO state VALUES ('s', ?1, '1', 1, ?2, 'a')",
                    (n, at),
                )?;
                conn.execute(
                    "INSERT INTO delivery (app_id, pubsub, topic, data, content_type, raw, created_at, due_at, expires_at)
                     VALUES ('a', 'p', 't', '', '', 0, 0, 0, ?1)",
                    [at],
                )?;
            }
            Ok::<_, StoreError>(())
        };
        store.write(insert).await.unwrap();
        sweep_once(&store).await.unwrap();
        for table in ["lock", "state", "delivery"] {
            let count = format!("SELECT count(*) FROM {table}");
            let left = store.read(|conn| Ok(conn.query_row(&count, [], |row| row.get::<_, i64>(0))?));
            assert_eq!(left.unwrap(), 3, "{table}");
        }
    }
}
