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
    components::{ComponentType, Try},
    time::{Schedule, go_time, now_ms, until},
};

impl Bindings {
    /// Starts those input bindings that `app` has a route for, in the background.
    pub(crate) fn start(self: &Arc<Self>, app: AppId) {
        let block = Arc::clone(self);
        self.background.spawn(async move {
            for (name, path, schedule) in block.inputs(&app) {
                if block.is_wanted(&app, &path).await {
                    let input = Input {
                        block: Arc::clone(&block),
                        app: app.clone(),
                        name: name.to_owned(),
                        path,
                    };
                    block.background.spawn(tick(input, schedule.clone()));
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

/// One input binding of an app.
struct Input {
    block: Arc<Bindings>,
    app: AppId,
    name: String,
    path: String,
}

/// Calls a cron binding's app whenever it is time.
async fn tick(input: Input, schedule: Schedule) {
    let mut last = now_ms();
    while let Some(next) = schedule.next_after(last.max(now_ms())) {
        if !input.block.background.sleep(until(next, now_ms())).await {
            return;
        }
        last = next;
        let result = input.call().await;
        input
            .block
            .apps
            .settled(&input.app, DeliveryKind::Binding, result);
    }
}

impl Input {
    /// Calls the app under the policy of the binding.
    async fn call(&self) -> DeliveryResult {
        let Self {
            app, name, path, ..
        } = self;
        let resiliency = &self.block.components.resiliency;
        let policy = resiliency.inbound(app, ComponentType::Binding, name);
        let call = policy.run((app, name), || self.deliver(), judge);
        let stopping = self.block.background.stopped();
        let answer = tokio::select! {
            answer = call => answer,
            () = stopping => return DeliveryResult::Dropped,
        };
        let (reason, result) = match answer {
            Ok(Ok(status)) if status.is_success() => return DeliveryResult::Done,
            Ok(Ok(status)) => (status.to_string(), DeliveryResult::Dropped),
            Ok(Err(failure)) => {
                let reason = failure.reason().to_owned();
                match failure {
                    DeliveryFailure::Unreachable(_) => (reason, DeliveryResult::Unreachable),
                    DeliveryFailure::Failed(_) => (reason, DeliveryResult::Dropped),
                }
            }
            Err(stopped) => (stopped.to_string(), DeliveryResult::Dropped),
        };
        tracing::warn!(app_id = %app, path, reason, "a cron binding failed");
        result
    }

    async fn deliver(&self) -> Result<StatusCode, DeliveryFailure> {
        let request = Request::post(&self.path)
            .header(CONTENT_TYPE, "application/json")
            .header(CONTENT_LENGTH, 0)
            .header(TRACEPARENT, TraceParent::random().to_header())
            .header("readtimeutc", go_time(now_ms()))
            .header("timezone", "UTC")
            .body(Body::empty());
        let request = request.map_err(|error| DeliveryFailure::Failed(error.to_string()))?;
        let answer = self
            .block
            .apps
            .deliver_whole(&self.app, request, None)
            .await;
        answer.map(|(status, _)| status)
    }
}

fn judge(answer: &Result<StatusCode, DeliveryFailure>) -> Try {
    match answer {
        Ok(status) if status.is_success() => Try::Succeeded,
        _ => Try::Failed,
    }
}
