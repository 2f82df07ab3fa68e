//! The lifetime of a WASI 0.3 guest, for bodies that the host carries on its behalf: a request's body that the guest
//! forwards, and the bodies of its own requests and their responses.
//!
//! wasmtime-wasi-http takes a body that a guest only forwards out of the instance, and ends a body that a guest was
//! writing when it died as if it were complete. Here no body outlives its guest, and a truncated body never looks
//! complete.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use wasmtime_wasi_http::{Error, WasiBody};

/// The lifetime of one guest. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Life(Arc<Lived>);

#[derive(Debug, Default)]
struct Lived {
    is_over: AtomicBool,
    passing: AtomicUsize,
    /// Set when a received body was asked for its size.
    was_asked: AtomicBool,
}

impl Life {
    /// Ends it, before the instance is dropped, since that ends what the guest was writing.
    pub(crate) fn end(&self) {
        self.0.is_over.store(true, Ordering::Release);
    }

    /// Returns whether the host still carries a received body for the guest.
    pub(crate) fn is_passing(&self) -> bool {
        self.0.passing.load(Ordering::Acquire) > 0
    }

    /// Wraps a received body, which ends with the guest.
    pub(crate) fn passing<B>(&self, body: B) -> Passing<B> {
        self.0.passing.fetch_add(1, Ordering::AcqRel);
        Passing {
            body,
            life: self.clone(),
        }
    }

    /// Returns whether a body is one that the guest received and forwards unchanged. A body that the guest writes
    /// contains no other one, and does not ask it for its size.
    pub(crate) fn passes(&self, body: &WasiBody) -> bool {
        self.0.was_asked.store(false, Ordering::Relaxed);
        let _ = body.size_hint();
        self.0.was_asked.load(Ordering::Relaxed)
    }

    /// Wraps a body that the guest writes or forwards: it is complete only if it ends within the guest's lifetime.
    pub(super) fn written(&self, body: WasiBody) -> WasiBody {
        let life = self.clone();
        Written { body, life }.boxed_unsync()
    }

    fn is_over(&self) -> bool {
        self.0.is_over.load(Ordering::Acquire)
    }
}

/// A body that the guest received.
pub(crate) struct Passing<B> {
    body: B,
    life: Life,
}

impl<B> Drop for Passing<B> {
    fn drop(&mut self) {
        self.life.0.passing.fetch_sub(1, Ordering::AcqRel);
    }
}

impl<B> Body for Passing<B>
where
    B: Body<Data = Bytes, Error = Error> + Unpin,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.life.is_over() {
            return Poll::Ready(Some(Err(Error::ConnectionTerminated)));
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.life.0.was_asked.store(true, Ordering::Relaxed);
        self.body.size_hint()
    }
}

/// A body that the guest writes.
struct Written {
    body: WasiBody,
    life: Life,
}

impl Body for Written {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() && self.life.is_over() {
            return Poll::Ready(Some(Err(Error::ConnectionTerminated)));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        // Whoever relies on this does not poll for the end, which may be an abort.
        self.body.is_end_stream() && !self.life.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{Empty, Full};

    use super::*;

    #[tokio::test]
    async fn what_a_guest_was_writing_when_it_ended_is_not_whole() {
        let empty = || Empty::new().map_err(|never| match never {}).boxed_unsync();
        let life = Life::default();
        let mut whole = life.written(empty());
        assert!(whole.frame().await.is_none());
        let mut cut = life.written(empty());
        life.end();
        assert!(!cut.is_end_stream());
        assert!(matches!(
            cut.frame().await,
            Some(Err(Error::ConnectionTerminated))
        ));
    }

    #[test]
    fn what_is_passed_on_is_told_from_what_the_guest_makes() {
        let life = Life::default();
        let body = || Full::new(Bytes::from_static(b"abc")).map_err(|never| match never {});
        let passed = life.passing(body().boxed_unsync()).boxed_unsync();
        assert!(life.passes(&passed));
        assert!(!life.passes(&body().boxed_unsync()));
        assert!(!Life::default().passes(&passed), "another guest's");
    }

    #[tokio::test]
    async fn what_a_guest_passes_on_ends_with_it() {
        let life = Life::default();
        assert!(!life.is_passing());
        let body = Full::new(Bytes::from_static(b"abc")).map_err(|never| match never {});
        let mut passed = life.passing(body.boxed_unsync());
        assert!(life.is_passing());
        life.end();
        assert!(matches!(
            passed.frame().await,
            Some(Err(Error::ConnectionTerminated))
        ));
        drop(passed);
        assert!(!life.is_passing());
    }
}
