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

/// The idle time-out of one response, from its head until its body is dropped.
pub(super) struct Pace {
    /// The time for the next part, from when it is awaited.
    limit: Duration,
    /// Runs while the reader waits.
    pause: Option<Pin<Box<Sleep>>>,
    stream: Arc<Stream>,
    progress: Progress,
}

impl Pace {
    /// Starts with the head of a response; `progress` is the request body's.
    pub(super) fn begin(limit: Duration, stream: Arc<Stream>, progress: Progress) -> Self {
        stream.begin();
        Self {
            limit,
            pause: None,
            stream,
            progress,
        }
    }

    /// The next part has arrived.
    pub(super) fn kept(&mut self) {
        self.pause = None;
    }

    /// The next part is awaited: ready with a failure when that takes too long.
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
