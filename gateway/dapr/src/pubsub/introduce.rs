//! Asks apps for their subscriptions, until they answer.

use std::sync::Arc;

use axum::body::Body;
use http::{Request, StatusCode};

use super::PubSub;
use crate::{app::AppId, back_off::BackOff, broker::queue, store::StoreError, subscription::Spec};

impl PubSub {
    /// Lets the subscriptions that `apps` told before hold until they are asked: nothing is missed meanwhile.
    pub(crate) async fn recall(self: &Arc<Self>, apps: impl Iterator<Item = &AppId>) {
        let remembered = self.store.scan(queue::remembered_subscriptions).await;
        let remembered = remembered.unwrap_or_else(|error: StoreError| {
            tracing::error!(%error, "remembered subscriptions could not be read");
            Vec::new()
        });
        for app in apps {
            let specs = remembered.iter().filter(|(owner, _)| owner == app.as_str());
            let specs: Vec<Spec> = specs
                .filter_map(|(_, spec)| serde_json::from_str(spec).ok())
                .collect();
            self.subscribe(app, &specs).await;
        }
    }

    /// Asks `app` for its subscriptions; if it does not answer, goes on asking in the background.
    pub(crate) async fn introduce(self: &Arc<Self>, app: &AppId) {
        let asked = "it is being asked".to_owned();
        self.silent.lock().insert(app.clone(), asked);
        match self.fetch_subscriptions(app).await {
            Ok(()) => {
                self.silent.lock().remove(app);
            }
            Err(reason) => {
                tracing::warn!(app_id = %app, reason, "the app does not tell its subscriptions yet");
                self.silent.lock().insert(app.clone(), reason);
                let (pubsub, app) = (Arc::clone(self), app.clone());
                self.background
                    .spawn(async move { pubsub.introduce_late(&app).await });
            }
        }
    }

    /// Ends the subscriptions of an app that may have none any more. What waits for it stays on disk.
    pub(crate) fn forget(&self, app: &AppId) {
        self.silent.lock().remove(app);
        self.broker.replace(app, Vec::new());
    }

    /// The apps that have been asked for their subscriptions and did not tell them yet, each with the reason.
    pub(crate) fn silent_apps(&self) -> Vec<(AppId, String)> {
        let silent = self.silent.lock();
        let silent = silent.iter();
        silent
            .map(|(app, reason)| (app.clone(), reason.clone()))
            .collect()
    }

    async fn introduce_late(self: &Arc<Self>, app: &AppId) {
        for retry in 0.. {
            if !self
                .background
                .sleep(BackOff::ASK_AGAIN.pause_or_longest(retry))
                .await
            {
                return;
            }
            if !self.silent.lock().contains_key(app) {
                // It has told them to another question, or is gone.
                return;
            }
            match self.fetch_subscriptions(app).await {
                Ok(()) => {
                    self.silent.lock().remove(app);
                    return;
                }
                Err(reason) => {
                    tracing::debug!(app_id = %app, reason, "no subscriptions yet");
                    self.silent.lock().insert(app.clone(), reason);
                }
            }
        }
    }

    async fn fetch_subscriptions(self: &Arc<Self>, app: &AppId) -> Result<(), String> {
        let specs = self.ask_subscriptions(app).await?;
        self.take_subscriptions(app, &specs).await
    }

    /// Asks `app` once for its subscriptions; the reason, if it does not tell them.
    pub(crate) async fn ask_subscriptions(&self, app: &AppId) -> Result<Vec<Spec>, String> {
        let request = Request::get("/dapr/subscribe").body(Body::empty());
        let request = request.map_err(|error| error.to_string())?;
        let answer = self.apps.deliver_whole(app, request, None).await;
        let (status, body) = answer.map_err(|failure| failure.reason().to_owned())?;
        match status {
            StatusCode::NOT_FOUND => Ok(Vec::new()),
            status if status.is_success() && body.is_empty() => Ok(Vec::new()),
            status if status.is_success() => serde_json::from_slice(&body)
                .map_err(|error| format!("GET /dapr/subscribe answered what is no list: {error}")),
            status => Err(format!("GET /dapr/subscribe answered {status}")),
        }
    }

    /// Has the subscriptions that `app` told hold, also after a restart.
    pub(crate) async fn take_subscriptions(self: &Arc<Self>, app: &AppId, specs: &[Spec]) -> Result<(), String> {
        let remembered = self.remember(app, specs).await;
        remembered.map_err(|error| error.to_string())?;
        self.subscribe(app, specs).await;
        Ok(())
    }

    async fn remember(&self, app: &AppId, specs: &[Spec]) -> Result<(), StoreError> {
        let most = self.apps.quotas_of(app).subscriptions;
        let rows: Vec<_> = specs
            .iter()
            .take(most)
            .filter_map(|spec| {
                let text = serde_json::to_string(spec).ok()?;
                Some((spec.pubsubname.clone(), spec.topic.clone(), text))
            })
            .collect();
        let app = app.to_string();
        let remember = move |conn: &rusqlite::Connection| queue::remember_subscriptions(conn, &app, &rows);
        self.store.write(remember).await
    }
}
