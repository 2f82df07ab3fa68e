//! Input bindings: cron calls apps.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use http::{
    Request, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use tokio_util::sync::CancellationToken;
use wasmgate_common::{TRACEPARENT, TraceParent};

use super::{Bindings, inputs};
use crate::{
    app::{AppId, DeliveryFailure, DeliveryKind, DeliveryResult},
    back_off::BackOff,
    components::{ComponentType, Try},
    time::{Schedule, go_time, now_ms, until},
};

impl Bindings {
    /// Starts those input bindings that `app` has a route for, in the background, in the place of those that it had.
    pub(crate) fn start(self: &Arc<Self>, app: AppId) {
        let (block, ended) = (Arc::clone(self), CancellationToken::new());
        let before = self.running.lock().insert(app.clone(), ended.clone());
        // What falls due until the app has answered is made up for.
        let since = now_ms();
        if let Some(before) = before {
            before.cancel();
        }
        self.background.spawn(async move {
            for (name, path, schedule) in inputs(&block.components.load(), &app) {
                if block.is_wanted(&app, &path, &ended).await {
                    let input = Input {
                        block: Arc::clone(&block),
                        app: app.clone(),
                        name,
                        path,
                        ended: ended.clone(),
                    };
                    block.background.spawn(tick(input, schedule, since));
                }
            }
        });
    }

    /// Ends the input bindings of `app`; a call under way is finished.
    pub(crate) fn end(&self, app: &AppId) {
        if let Some(ended) = self.running.lock().remove(app) {
            ended.cancel();
        }
    }

    /// Waits as long as `pause`; false if the bindings end meanwhile.
    async fn sleep(&self, pause: Duration, ended: &CancellationToken) -> bool {
        tokio::select! {
            slept = self.background.sleep(pause) => slept,
            () = ended.cancelled() => false,
        }
    }

    /// Asks whether the app takes a binding: it answers `OPTIONS` on its path, as Dapr wants it.
    async fn is_wanted(&self, app: &AppId, path: &str, ended: &CancellationToken) -> bool {
        for retry in 0.. {
            let Ok(request) = Request::options(path).body(Body::empty()) else {
                return false;
            };
            match self.apps.deliver_whole(app, request, None).await {
                Ok((status, _)) => return status.is_success() || status == StatusCode::METHOD_NOT_ALLOWED,
                Err(DeliveryFailure::Failed(_)) => return false,
                Err(DeliveryFailure::Unreachable(_)) => {}
            }
            let pause = BackOff::ASK_AGAIN.pause_or_longest(retry);
            if !self.sleep(pause, ended).await {
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
    ended: CancellationToken,
}

/// Calls a cron binding's app whenever it is time, after `since`.
async fn tick(input: Input, schedule: Schedule, since: i64) {
    let mut after = since;
    while let Some(next) = schedule.next_after(after) {
        let pause = until(next, now_ms());
        if !input.block.sleep(pause, &input.ended).await {
            return;
        }
        let result = input.call().await;
        input
            .block
            .apps
            .settled(&input.app, DeliveryKind::Binding, result);
        after = next.max(now_ms());
    }
}

impl Input {
    /// Calls the app under the policy of the binding.
    async fn call(&self) -> DeliveryResult {
        let Self {
            app, name, path, ..
        } = self;
        let components = self.block.components.load();
        let policy = components
            .resiliency
            .inbound(app, ComponentType::Binding, name);
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
