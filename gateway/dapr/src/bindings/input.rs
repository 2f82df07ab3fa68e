//! Input bindings: cron calls apps.

use std::sync::Arc;

use axum::body::Body;
use http::{
    Request, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use wasmgate_common::{TRACEPARENT, TraceParent};

use super::Bindings;
use crate::{
    app::{AppId, DeliveryFailure, DeliveryKind, DeliveryResult},
    back_off::BackOff,
    time::{Schedule, go_time, now_ms, until},
};

impl Bindings {
    /// Starts those input bindings that `app` has a route for, in the background.
    pub(crate) fn start(self: &Arc<Self>, app: AppId) {
        let block = Arc::clone(self);
        self.background.spawn(async move {
            for (path, schedule) in block.inputs(&app) {
                if block.is_wanted(&app, &path).await {
                    let tick = tick(Arc::clone(&block), app.clone(), path, schedule.clone());
                    block.background.spawn(tick);
                }
            }
        });
    }

    /// Asks whether the app takes a binding: it answers `OPTIONS` on its path, as Dapr wants it.
    async fn is_wanted(&self, app: &AppId, path: &str) -> bool {
        for retry in 0.. {
            let Ok(request) = Request::options(path).body(Body::empty()) else {
                return false;
            };
            match self.apps.deliver_whole(app, request, None).await {
                Ok((status, _)) => return status.is_success() || status == StatusCode::METHOD_NOT_ALLOWED,
                Err(DeliveryFailure::Failed(_)) => return false,
                Err(DeliveryFailure::Unreachable(_)) => {}
            }
            if !self
                .background
                .sleep(BackOff::ASK_AGAIN.pause_or_longest(retry))
                .await
            {
                return false;
            }
        }
        false
    }
}

/// Calls a cron binding's app whenever it is time.
async fn tick(block: Arc<Bindings>, app: AppId, path: String, schedule: Schedule) {
    let mut last = now_ms();
    while let Some(next) = schedule.next_after(last.max(now_ms())) {
        if !block.background.sleep(until(next, now_ms())).await {
            return;
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
        let result = match block.apps.deliver_whole(&app, request, None).await {
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
        block.apps.settled(&app, DeliveryKind::Binding, result);
    }
}
