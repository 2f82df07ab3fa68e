//! The body of a WASI 0.3 response, between the guest that writes it and whoever reads it.
//!
//! wasmtime-wasi-http ends such a body when its instance is dropped, whether it was complete or not. So what the guest
//! has written by its end is collected first, and a reader learns whether that was all.

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use wasmtime_wasi_http::{Error, WasiBody};

/// The maximum number of parts that a guest has written and nobody has read: one in a channel, trailers, and the end.
const PARTS_AHEAD: usize = 3;

type Part = Result<Frame<Bytes>, Error>;

/// A body that the guest has returned. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Handed(Arc<Mutex<Stage>>);

#[derive(Debug, Default)]
struct Stage {
    /// `None` when it has ended.
    body: Option<WasiBody>,
    /// The remaining bytes, by its `content-length`.
    left: Option<u64>,
    /// Parts that were received and not read.
    ahead: VecDeque<Part>,
    has_ended: bool,
    /// It was aborted.
    is_broken: bool,
    /// The reader's waker.
    reader: Option<Waker>,
    /// Waits for the end.
    waiting: Option<Waker>,
}

impl Handed {
    /// Sets the body, with the length from its head, and returns it for reading. `sent` learns whether it was read to
    /// its end.
    pub(super) fn put(&self, body: WasiBody, length: Option<u64>, sent: oneshot::Sender<Result<(), Error>>) -> Reading {
        let mut stage = self.0.lock();
        (stage.body, stage.left) = (Some(body), length);
        drop(stage);
        let (handed, sent) = (self.clone(), Some(sent));
        Reading { handed, sent }
    }

    /// Returns whether the body has ended, complete or not.
    pub(super) fn has_ended(&self) -> bool {
        self.0.lock().has_ended
    }

    /// Returns whether it was aborted.
    pub(super) fn is_broken(&self) -> bool {
        self.0.lock().is_broken
    }

    /// Collects what is available, and returns whether that is the rest.
    pub(super) fn gather(&self) -> bool {
        let mut stage = self.0.lock();
        stage.gather();
        stage.has_ended
    }

    /// Waits until its reader has read it to the end.
    pub(super) async fn ended(&self) {
        poll_fn(|cx| {
            let mut stage = self.0.lock();
            if stage.has_ended {
                return Poll::Ready(());
            }
            stage.waiting = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Ends the source: what was collected can still be read.
    pub(super) fn close(&self) {
        let mut stage = self.0.lock();
        stage.gather();
        stage.body = None;
        if let Some(reader) = stage.reader.take() {
            reader.wake();
        }
    }
}

impl Stage {
    fn gather(&mut self) {
        let reader = self.reader.clone();
        let mut cx = Context::from_waker(reader.as_ref().unwrap_or(Waker::noop()));
        for _ in 0..PARTS_AHEAD {
            match self.poll_body(&mut cx) {
                Poll::Ready(Some(part)) => self.ahead.push_back(part),
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        // It waits for a body that has ended, or for what is available now.
        if let Some(reader) = self
            .reader
            .take_if(|_| self.has_ended || !self.ahead.is_empty())
        {
            reader.wake();
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Part>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let part = ready!(Pin::new(body).poll_frame(cx));
        let part = self.counted(part);
        if !matches!(part, Some(Ok(_))) {
            self.has_ended = true;
            self.is_broken = part.is_some();
            self.body = None;
            if let Some(waiting) = self.waiting.take() {
                waiting.wake();
            }
        }
        Poll::Ready(part)
    }

    /// Checks the length, and returns an error in place of an end that comes too early or too late: wasmtime-wasi-http
    /// reports its own only where everything was read, and none for a middleware.
    fn counted(&mut self, part: Option<Part>) -> Option<Part> {
        let bytes = |frame: &Frame<Bytes>| frame.data_ref().map_or(0, Bytes::len);
        match (&part, &mut self.left) {
            (Some(Ok(frame)), Some(left)) => match left.checked_sub(bytes(frame) as u64) {
                Some(less) => *left = less,
                None => return Some(Err(Error::HttpResponseBodySize(None))),
            },
            (None, Some(left @ 1..)) => return Some(Err(Error::HttpResponseBodySize(Some(*left)))),
            _ => {}
        }
        part
    }

    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Part>> {
        if let Some(part) = self.ahead.pop_front() {
            return Poll::Ready(Some(part));
        }
        if self.body.is_none() {
            let cut = || Err(Error::HttpResponseIncomplete);
            return Poll::Ready((!self.has_ended).then(cut));
        }
        let part = self.poll_body(cx);
        if part.is_pending() {
            self.reader = Some(cx.waker().clone());
        }
        part
    }
}

/// The body as it is read.
pub(super) struct Reading {
    handed: Handed,
    sent: Option<oneshot::Sender<Result<(), Error>>>,
}

impl Body for Reading {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Part>> {
        let part = ready!(self.handed.0.lock().poll_part(cx));
        if part.is_none()
            && let Some(sent) = self.sent.take()
        {
            // The guest may not have asked.
            let _ = sent.send(Ok(()));
        }
        Poll::Ready(part)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Full, StreamBody};
    use tokio::sync::mpsc;

    use super::*;

    fn full(text: &'static str) -> WasiBody {
        let body = Full::new(Bytes::from_static(text.as_bytes()));
        body.map_err(|never| match never {}).boxed_unsync()
    }

    /// A body that ends when its sender is dropped.
    fn open() -> (mpsc::UnboundedSender<Part>, WasiBody) {
        let (sender, mut parts) = mpsc::unbounded_channel();
        let stream = futures_util::stream::poll_fn(move |cx| parts.poll_recv(cx));
        (sender, StreamBody::new(stream).boxed_unsync())
    }

    fn put(handed: &Handed, body: WasiBody) -> Reading {
        handed.put(body, None, oneshot::channel().0)
    }

    #[tokio::test]
    async fn what_was_written_by_the_end_is_read_after_it() {
        let handed = Handed::default();
        let reading = put(&handed, full("abc"));
        assert!(handed.gather());
        handed.close();
        assert_eq!(reading.collect().await.unwrap().to_bytes(), "abc");
    }

    #[tokio::test]
    async fn what_had_no_end_when_it_was_closed_is_cut() {
        let handed = Handed::default();
        let (sender, body) = open();
        let mut reading = put(&handed, body);
        sender
            .send(Ok(Frame::data(Bytes::from_static(b"a part"))))
            .unwrap();
        assert!(!handed.gather());
        handed.close();
        drop(sender);
        let part = reading.frame().await.unwrap().unwrap();
        assert_eq!(part.into_data().unwrap(), "a part");
        assert!(matches!(
            reading.frame().await,
            Some(Err(Error::HttpResponseIncomplete))
        ));
    }

    #[tokio::test]
    async fn a_body_that_is_shorter_than_its_head_says_has_no_good_end() {
        let handed = Handed::default();
        let mut reading = handed.put(full("abc"), Some(5), oneshot::channel().0);
        assert!(handed.gather());
        assert!(matches!(reading.frame().await, Some(Ok(_))));
        assert!(matches!(
            reading.frame().await,
            Some(Err(Error::HttpResponseBodySize(Some(2))))
        ));
    }

    #[tokio::test]
    async fn a_reader_that_waits_is_told_of_the_end() {
        let handed = Handed::default();
        let (_sender, body) = open();
        let mut reading = put(&handed, body);
        let waiting = tokio::spawn(async move { reading.frame().await });
        tokio::task::yield_now().await;
        assert!(!handed.gather());
        handed.close();
        assert!(matches!(waiting.await.unwrap(), Some(Err(_))));
    }
}
