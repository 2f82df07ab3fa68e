//! The body of a response that must not have content: what the guest writes is read and discarded.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use http_body::Body as _;
use http_body_util::BodyExt as _;
use wasmtime_wasi_http::WasiBody;

use super::response_body::GuestTask;
use crate::error::Failure;

/// The maximum of bytes that a guest may write before it is stopped: the default limit of a request's body.
const MAX_UNREAD_BYTES: u64 = 8 << 20;

/// A discarded body, and the guest that writes it.
pub(super) struct Unread {
    body: WasiBody,
    task: GuestTask,
    bytes: u64,
    ended: bool,
}

impl Unread {
    pub(super) fn new(body: WasiBody, task: GuestTask) -> Self {
        Self {
            body,
            task,
            bytes: 0,
            ended: false,
        }
    }

    /// Discards what the guest has written so far, and returns its length if that is all of it and not empty.
    ///
    /// # Errors
    /// When the guest has failed already, which can still become an error response.
    pub(super) fn skip(&mut self, cx: &mut Context<'_>) -> Result<Option<u64>, Failure> {
        loop {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Pending => return Ok(None),
                Poll::Ready(Some(Ok(frame))) => self.count(frame.data_ref().map(|data| data.len())),
                // A wrong length does not matter here.
                Poll::Ready(Some(Err(_)) | None) => {
                    self.ended = true;
                    let length = Some(self.bytes).filter(|bytes| *bytes > 0);
                    return self.task.failure(cx).map_or(Ok(length), Err);
                }
            }
        }
    }

    /// Lets the guest continue as if its client read the rest, within its deadline and a limit.
    pub(super) fn leave(mut self) {
        if self.ended {
            return;
        }
        tokio::spawn(async move {
            while let Some(Ok(frame)) = self.body.frame().await {
                self.count(frame.data_ref().map(|data| data.len()));
                if self.bytes > MAX_UNREAD_BYTES {
                    return;
                }
            }
            self.task.detach();
        });
    }

    fn count(&mut self, bytes: Option<usize>) {
        self.bytes = self.bytes.saturating_add(bytes.unwrap_or(0) as u64);
    }
}
