//! The external app: asked for its subscriptions when it comes up, and periodically.

use std::{sync::Arc, time::Duration};

use tokio::net::TcpStream;

use super::Runtime;
use crate::{app::AppId, back_off::BackOff};

/// The pause between two looks whether the process is there: what is published after its start and before it is asked
/// does not reach it, and one that is started anew is away for less than a tenth of a second. As short as Dapr's own.
const LOOK: Duration = Duration::from_millis(50);

/// How long one look may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// After so long it is asked again although it was never seen away: the worker behind its listener may be another one.
const ANEW: Duration = Duration::from_secs(10);

/// Follows the process for as long as the runtime runs. Nothing waits for it.
pub(super) async fn follow(runtime: Arc<Runtime>, app: AppId) {
    let Some(outside) = &runtime.settings.outside else {
        return;
    };
    let follower = Follower {
        runtime: &runtime,
        app: &app,
        address: outside.address.as_str(),
    };
    tokio::select! {
        () = runtime.background.stopped() => {}
        () = follower.follow() => {}
    }
}

struct Follower<'a> {
    runtime: &'a Arc<Runtime>,
    app: &'a AppId,
    address: &'a str,
}

impl Follower<'_> {
    async fn follow(&self) {
        let (mut told, mut complaint) = (None, None);
        let (mut is_new, mut retry) = (true, 0);
        loop {
            is_new |= self.comes().await;
            let pause = match self.ask(&mut told, is_new).await {
                Ok(()) => {
                    (is_new, complaint, retry) = (false, None, 0);
                    ANEW
                }
                Err(reason) => {
                    if complaint.as_ref() != Some(&reason) && self.is_there().await {
                        let app = self.app;
                        tracing::warn!(app_id = %app, reason, "the process beside the gateway does not tell its subscriptions");
                        complaint = Some(reason);
                    }
                    retry += 1;
                    BackOff::ASK_AGAIN.pause_or_longest(retry - 1)
                }
            };
            tokio::select! {
                () = self.goes() => (is_new, retry) = (true, 0),
                () = tokio::time::sleep(pause) => {}
                () = self.runtime.components_changed.notified() => told = None,
            }
        }
    }

    /// Asks it, and has what it tells hold if that is another answer than `told`. One that is new is asked which
    /// bindings it takes, too.
    async fn ask(&self, told: &mut Option<String>, is_new: bool) -> Result<(), String> {
        let api = &self.runtime.api;
        let specs = api.pubsub.ask_subscriptions(self.app).await?;
        let now = serde_json::to_string(&specs).map_err(|error| error.to_string())?;
        let is_other = told.as_ref() != Some(&now);
        if is_other {
            api.pubsub.take_subscriptions(self.app, &specs).await?;
            tracing::info!(app_id = %self.app, "the process beside the gateway takes events and jobs");
            *told = Some(now);
        }
        if is_other || is_new {
            api.bindings.start(self.app.clone());
        }
        Ok(())
    }

    /// Returns when it is there; true if it was away.
    async fn comes(&self) -> bool {
        let mut was_away = false;
        while !self.is_there().await {
            was_away = true;
            tokio::time::sleep(LOOK).await;
        }
        was_away
    }

    /// Returns when it is away.
    async fn goes(&self) {
        while self.is_there().await {
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn is_there(&self) -> bool {
        let look = tokio::time::timeout(PATIENCE, TcpStream::connect(self.address));
        matches!(look.await, Ok(Ok(_)))
    }
}
