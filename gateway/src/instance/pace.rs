//! The idle time-out of a streaming response: a guest that lets its reader wait too long for the next part is stopped.

use std::{
    future::Future as _,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Sleep, sleep};

use super::{deadline::Stream, label::Label, request_body::Progress};
use crate::error::Failure;

/// The pace of one response; it begins with the head, and ends with the body when it is dropped.
pub(super) struct Pace {
    /// The time that the next part may take, from when it is asked for.
    limit: Duration,
    /// Runs while somebody waits: what is not asked for is not late.
    pause: Option<Pin<Box<Sleep>>>,
    stream: Arc<Stream>,
    progress: Progress,
}

impl Pace {
    /// Begins with the head of a response; `progress` is the request's.
    pub(super) fn begin(limit: Duration, stream: Arc<Stream>, progress: Progress) -> Self {
        stream.begin();
        Self {
            limit,
            pause: None,
            stream,
            progress,
        }
    }

    /// The next part is here.
    pub(super) fn kept(&mut self) {
        self.pause = None;
    }

    /// The next part is waited for: is ready with the failure of who was waited for too long.
    pub(super) fn poll_late(&mut self, label: &Label, cx: &mut Context<'_>) -> Poll<Failure> {
        let limit = self.limit;
        let pause = self.pause.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(pause.as_mut().poll(cx));
        let failure = if self.progress.is_awaited() {
            Failure::RequestTimeout
        } else {
            Failure::IdleTimeout
        };
        let error = format!("no part of its body came for {limit:?} (`limits.idle`)");
        Poll::Ready(label.failed(failure, &error))
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        self.stream.end();
    }
}
