//! From open to at work: subscriptions, jobs, bindings, and the upkeep of the database.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use http::{
    Request, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use tokio::time::sleep;
use wasmgate_common::{TRACEPARENT, TraceParent};

use crate::{
    api::configuration,
    app::{AppId, DeliveryKind, DeliveryResult},
    components::BackOff,
    jobs,
    protocol::path::as_path,
    providers::bindings::BindingKind,
    runtime::{DeliveryFailure, Runtime, clear_volatile},
    store::{StoreError, queue, state},
    subscription::Spec,
    time::{Schedule, go_time, now_ms, until},
};

/// How often expired rows are removed. They are invisible before that; this only frees room.
const SWEEP_PERIOD: Duration = Duration::from_secs(60);

/// How apps are asked again until they answer: quickly while a gateway starts, rarely when an app
/// stays broken.
const ASK_AGAIN: BackOff = BackOff {
    first: Duration::from_millis(100),
    factor: 2.0,
    longest: Duration::from_secs(30),
    max_retries: None,
};

impl Runtime {
    /// Starts all background work; called once.
    pub(crate) async fn begin(self: &Arc<Self>) {
        let volatile: Vec<String> = self
            .components
            .state
            .values()
            .filter(|store| store.it.volatile)
            .map(|store| store.name.clone())
            .collect();
        let cleared = self
            .store
            .write(move |conn| clear_volatile(conn, &volatile))
            .await;
        if let Err(error) = cleared {
            tracing::error!(%error, "stores in memory could not be emptied");
        }
        // What apps subscribed to before holds until they are asked: nothing is missed meanwhile.
        let remembered = self.store.scan(queue::remembered_subscriptions).await;
        let remembered = remembered.unwrap_or_else(|error: StoreError| {
            tracing::error!(%error, "remembered subscriptions could not be read");
            Vec::new()
        });
        let apps = self.granted_apps();
        let outside = self.add_outside();
        for app in apps.iter().chain(&outside) {
            let specs = remembered.iter().filter(|(owner, _)| owner == app.as_str());
            let specs: Vec<Spec> = specs
                .filter_map(|(_, spec)| serde_json::from_str(spec).ok())
                .collect();
            self.subscribe(app, &specs).await;
        }
        self.spawn(sweep(self.clone()));
        self.spawn(jobs::run(self.clone()));
        self.spawn(configuration::watch(self.clone()));
        self.spawn(introduce_all(self.clone(), apps));
        if let Some(outside) = outside {
            self.spawn(introduce_outside(self.clone(), outside));
        }
    }

    /// Asks `app` for its subscriptions and bindings; if it does not answer, goes on asking in the
    /// background.
    pub(crate) async fn introduce(self: &Arc<Self>, app: &AppId) {
        let asked = "it is being asked".to_owned();
        self.silent.lock().insert(app.clone(), asked);
        let told = self.ask(app).await;
        if told.is_ok() {
            self.silent.lock().remove(app);
        }
        if let Err(reason) = told {
            tracing::warn!(app_id = %app, reason, "the app does not tell its subscriptions yet");
            self.silent.lock().insert(app.clone(), reason);
            self.spawn(ask_until_answered(self.clone(), app.clone()));
        }
    }

    async fn ask(self: &Arc<Self>, app: &AppId) -> Result<(), String> {
        let request = Request::get("/dapr/subscribe").body(Body::empty());
        let request = request.map_err(|error| error.to_string())?;
        let (status, body) = self
            .deliver_whole(app, request, None)
            .await
            .map_err(|failure| match failure {
                DeliveryFailure::Unreachable(reason) | DeliveryFailure::Failed(reason) => reason,
            })?;
        let specs: Vec<Spec> = match status {
            StatusCode::NOT_FOUND => Vec::new(),
            status if status.is_success() && body.is_empty() => Vec::new(),
            status if status.is_success() => serde_json::from_slice(&body)
                .map_err(|error| format!("GET /dapr/subscribe answered what is no list: {error}"))?,
            status => return Err(format!("GET /dapr/subscribe answered {status}")),
        };
        self.remember(app, &specs)
            .await
            .map_err(|error| error.to_string())?;
        self.subscribe(app, &specs).await;
        Ok(())
    }

    async fn remember(&self, app: &AppId, specs: &[Spec]) -> Result<(), StoreError> {
        let app = app.to_string();
        let rows: Vec<_> = specs
            .iter()
            .filter_map(|spec| {
                let text = serde_json::to_string(spec).ok()?;
                Some((spec.pubsubname.clone(), spec.topic.clone(), text))
            })
            .collect();
        let remember = move |conn: &rusqlite::Connection| queue::remember_subscriptions(conn, &app, &rows);
        self.store.write(remember).await
    }
}

async fn introduce_all(runtime: Arc<Runtime>, apps: Vec<AppId>) {
    let asked = apps.iter().map(|app| runtime.introduce(app));
    futures_util::future::join_all(asked).await;
    runtime.set_ready();
    for app in apps {
        runtime.spawn(start_bindings(runtime.clone(), app));
    }
}

/// Asks the process beside this one until it is there. Nothing waits for it: it may well be started later.
async fn introduce_outside(runtime: Arc<Runtime>, app: AppId) {
    for retry in 0.. {
        match runtime.ask(&app).await {
            Ok(()) => break,
            Err(reason) => tracing::debug!(app_id = %app, reason, "the process is not there yet"),
        }
        tokio::select! {
            () = sleep(ASK_AGAIN.pause(retry).unwrap_or(ASK_AGAIN.longest)) => {}
            () = runtime.stopping.cancelled() => return,
        }
    }
    tracing::info!(app_id = %app, "the process beside the gateway takes events and jobs");
    start_bindings(runtime, app).await;
}

async fn ask_until_answered(runtime: Arc<Runtime>, app: AppId) {
    for retry in 0.. {
        tokio::select! {
            () = sleep(ASK_AGAIN.pause(retry).unwrap_or(ASK_AGAIN.longest)) => {}
            () = runtime.stopping.cancelled() => return,
        }
        match runtime.ask(&app).await {
            Ok(()) => {
                runtime.silent.lock().remove(&app);
                return;
            }
            Err(reason) => {
                tracing::debug!(app_id = %app, reason, "no subscriptions yet");
                runtime.silent.lock().insert(app.clone(), reason);
            }
        }
    }
}

/// Removes what has expired, from time to time.
async fn sweep(runtime: Arc<Runtime>) {
    loop {
        let swept = runtime.store.write(|conn| {
            state::sweep(conn, now_ms())?;
            queue::sweep(conn, now_ms())?;
            Ok::<_, StoreError>(())
        });
        if let Err(error) = swept.await {
            tracing::error!(%error, "expired rows could not be removed");
        }
        tokio::select! {
            () = sleep(SWEEP_PERIOD) => {}
            () = runtime.stopping.cancelled() => return,
        }
    }
}

/// Starts those cron bindings that `app` has a route for.
pub(crate) async fn start_bindings(runtime: Arc<Runtime>, app: AppId) {
    for binding in runtime.components.bindings.values() {
        let BindingKind::Cron(schedule) = &binding.it.kind else {
            continue;
        };
        if !binding.scopes.include(&app) {
            continue;
        }
        let path = as_path(binding.it.route.as_deref().unwrap_or(&binding.name));
        if wants(&runtime, &app, &path).await {
            runtime.spawn(tick(runtime.clone(), app.clone(), path, schedule.clone()));
        }
    }
}

/// Whether the app answers `OPTIONS` on a binding's path as Dapr asks of it.
async fn wants(runtime: &Arc<Runtime>, app: &AppId, path: &str) -> bool {
    for retry in 0.. {
        let Ok(request) = Request::options(path).body(Body::empty()) else {
            return false;
        };
        match runtime.deliver_whole(app, request, None).await {
            Ok((status, _)) => {
                return status.is_success() || status == StatusCode::METHOD_NOT_ALLOWED;
            }
            Err(DeliveryFailure::Failed(_)) => return false,
            Err(DeliveryFailure::Unreachable(_)) => {}
        }
        tokio::select! {
            () = sleep(ASK_AGAIN.pause(retry).unwrap_or(ASK_AGAIN.longest)) => {}
            () = runtime.stopping.cancelled() => return false,
        }
    }
    false
}

/// Calls a cron binding's app whenever it is time.
async fn tick(runtime: Arc<Runtime>, app: AppId, path: String, schedule: Schedule) {
    let mut last = now_ms();
    while let Some(next) = schedule.next_after(last.max(now_ms())) {
        tokio::select! {
            () = sleep(until(next, now_ms())) => {}
            () = runtime.stopping.cancelled() => return,
        }
        last = next;
        let request = Request::post(&path)
            .header(CONTENT_TYPE, "application/json")
            .header(CONTENT_LENGTH, 0)
            .header(TRACEPARENT, TraceParent::random().to_header())
            .header("readtimeutc", go_time(now_ms()))
            .header("timezone", "UTC")
            .body(Body::empty());
        let Ok(request) = request else { return };
        let result = match runtime.deliver_whole(&app, request, None).await {
            Ok((status, _)) if status.is_success() => DeliveryResult::Done,
            Ok((status, _)) => {
                tracing::warn!(app_id = %app, path, %status, "a cron binding failed");
                DeliveryResult::Dropped
            }
            Err(failure) => {
                tracing::warn!(app_id = %app, path, reason = failure.reason(), "a cron binding failed");
                match failure {
                    DeliveryFailure::Unreachable(_) => DeliveryResult::Unreachable,
                    DeliveryFailure::Failed(_) => DeliveryResult::Dropped,
                }
            }
        };
        runtime.settled(&app, DeliveryKind::Binding, result);
    }
}
