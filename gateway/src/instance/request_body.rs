//! The request's body on its way to the guest: counted against the package's limit, and observed, so that a slow client
//! can be told from a slow guest.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
};

use bytes::{Buf as _, Bytes};
use http_body::{Body, Frame, SizeHint};
use wasmtime_wasi_http::Error;

use crate::{error::Failure, request_headers::clean_trailers};

/// The progress of a request's body.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress(Arc<AtomicU8>);

const UNREAD: u8 = 0;
const AWAITED: u8 = 1;
const ENDED: u8 = 2;
const TOO_LARGE: u8 = 3;
const BROKEN: u8 = 4;

impl Progress {
    /// Returns whether the guest was waiting for the client when last seen.
    pub(super) fn is_awaited(&self) -> bool {
        self.0.load(Ordering::Relaxed) == AWAITED
    }

    /// Why the guest's response must not be sent: the client sent more than the package accepts, or an invalid body.
    pub(super) fn refusal(&self) -> Option<Failure> {
        match self.0.load(Ordering::Relaxed) {
            TOO_LARGE => Some(Failure::BodyTooLarge),
            BROKEN => Some(Failure::BadRequest),
            _ => None,
        }
    }

    fn set(&self, state: u8) {
        self.0.store(state, Ordering::Relaxed);
    }
}

/// A body with a limit on its length.
pub(crate) struct RequestBody<B> {
    inner: B,
    left: u64,
    limit: u64,
    progress: Progress,
}

impl<B: Body> RequestBody<B> {
    /// Limits `inner` to `limit` bytes; `None` if it announces more.
    pub(crate) fn new(inner: B, limit: u64) -> Option<Self> {
        if inner.size_hint().lower() > limit {
            return None;
        }
        Some(Self {
            inner,
            left: limit,
            limit,
            progress: Progress(Arc::new(AtomicU8::new(UNREAD))),
        })
    }

    pub(super) fn progress(&self) -> Progress {
        self.progress.clone()
    }
}

impl<B> Body for RequestBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Error>,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Pending => {
                self.progress.set(AWAITED);
                return Poll::Pending;
            }
            Poll::Ready(None) => {
                self.progress.set(ENDED);
                return Poll::Ready(None);
            }
            Poll::Ready(Some(Err(error))) => {
                self.progress.set(BROKEN);
                return Poll::Ready(Some(Err(error.into())));
            }
            Poll::Ready(Some(Ok(mut frame))) => {
                frame.trailers_mut().map(clean_trailers);
                frame
            }
        };
        let bytes = frame.data_ref().map_or(0, |data| data.remaining() as u64);
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                self.progress.set(UNREAD);
                Poll::Ready(Some(Ok(frame)))
            }
            None => {
                self.progress.set(TOO_LARGE);
                Poll::Ready(Some(Err(Error::HttpRequestBodySize(Some(self.limit)))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
