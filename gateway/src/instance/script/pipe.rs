//! The body of a response between the program that prints it and whoever reads it: a bounded buffer, whose end is told
//! from an abort.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};
use parking_lot::Mutex;
use wasmtime_wasi_http::Error;

/// The writing end. If it is dropped without `finish`, the body is aborted.
pub(super) struct Inlet(Arc<Mutex<State>>);

/// The reading end.
pub(super) struct Outlet(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    waiting: BytesMut,
    end: End,
    /// The reading end was dropped.
    is_left: bool,
    reader: Option<Waker>,
    writers: Vec<Waker>,
}

#[derive(Default, PartialEq, Eq)]
enum End {
    #[default]
    Open,
    Whole,
    Cut,
}

/// Creates a pipe.
pub(super) fn pipe() -> (Inlet, Outlet) {
    let state = Arc::<Mutex<State>>::default();
    (Inlet(Arc::clone(&state)), Outlet(state))
}

impl Inlet {
    /// Appends bytes.
    pub(super) fn write(&self, bytes: &[u8]) {
        let mut state = self.0.lock();
        state.waiting.extend_from_slice(bytes);
        state.wake_reader();
    }

    /// The number of buffered bytes; `None` if nobody reads them.
    pub(super) fn waiting(&self) -> Option<usize> {
        let state = self.0.lock();
        (!state.is_left).then_some(state.waiting.len())
    }

    /// Wakes the writer when something was read.
    pub(super) fn wake_when_read(&self, waker: &Waker) {
        let mut state = self.0.lock();
        if !state.writers.iter().any(|known| known.will_wake(waker)) {
            state.writers.push(waker.clone());
        }
    }

    /// Ends a complete body.
    pub(super) fn finish(&self) {
        self.end(End::Whole);
    }

    fn end(&self, end: End) {
        let mut state = self.0.lock();
        if state.end == End::Open {
            state.end = end;
            state.wake_reader();
        }
    }
}

impl Drop for Inlet {
    fn drop(&mut self) {
        self.end(End::Cut);
    }
}

impl State {
    fn wake_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    fn wake_writers(&mut self) {
        for writer in self.writers.drain(..) {
            writer.wake();
        }
    }
}

impl Body for Outlet {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let mut state = self.0.lock();
        if !state.waiting.is_empty() {
            let part = state.waiting.split().freeze();
            state.wake_writers();
            return Poll::Ready(Some(Ok(Frame::data(part))));
        }
        match state.end {
            End::Open => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
            End::Whole => Poll::Ready(None),
            End::Cut => Poll::Ready(Some(Err(Error::HttpResponseIncomplete))),
        }
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_left = true;
        state.waiting = BytesMut::new();
        state.wake_writers();
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn what_was_written_comes_in_one_piece_and_its_end_is_told_from_a_break() {
        let (inlet, outlet) = pipe();
        inlet.write(b"a");
        inlet.write(b"bc");
        assert_eq!(inlet.waiting(), Some(3));
        inlet.finish();
        drop(inlet);
        assert_eq!(outlet.collect().await.unwrap().to_bytes(), "abc");
        let (inlet, mut outlet) = pipe();
        inlet.write(b"a");
        drop(inlet);
        assert!(outlet.frame().await.unwrap().is_ok());
        assert!(outlet.frame().await.unwrap().is_err());
    }

    #[tokio::test]
    async fn a_reader_that_has_gone_is_noticed() {
        let (inlet, outlet) = pipe();
        drop(outlet);
        assert_eq!(inlet.waiting(), None);
    }
}
