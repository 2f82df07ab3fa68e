//! The request's body as a program's standard input.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use http_body::Body as _;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, ReadBuf};
use wasmtime_wasi::{
    cli::{IsTerminal, StdinStream},
    p2::{InputStream, Pollable, StreamError, StreamResult},
};
use wasmtime_wasi_http::{Error, WasiBody};

/// Standard input; clones read from the same body.
#[derive(Clone)]
pub(super) struct Input(Arc<Mutex<Source>>);

struct Source {
    /// `None` after its end.
    body: Option<WasiBody>,
    /// Received and not yet read.
    part: Bytes,
    /// The error of a broken body, which is returned once.
    broken: Option<Error>,
}

impl Input {
    pub(super) fn new(body: WasiBody) -> Self {
        Self(Arc::new(Mutex::new(Source {
            body: Some(body),
            part: Bytes::new(),
            broken: None,
        })))
    }
}

impl Source {
    /// Waits until there is something to read: bytes, an error, or the end.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.part.is_empty() && self.broken.is_none() {
            let Some(body) = &mut self.body else {
                break;
            };
            match ready!(Pin::new(body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    // Trailers are ignored.
                    self.part = frame.into_data().unwrap_or_default();
                }
                Some(Err(error)) => (self.body, self.broken) = (None, Some(error)),
                None => self.body = None,
            }
        }
        Poll::Ready(())
    }

    /// Received bytes; empty at the end.
    fn take(&mut self, most: usize) -> Result<Bytes, Error> {
        match self.broken.take() {
            Some(error) => Err(error),
            None => Ok(self.part.split_to(most.min(self.part.len()))),
        }
    }
}

impl IsTerminal for Input {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdinStream for Input {
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Input {
    async fn ready(&mut self) {
        poll_fn(|cx| self.0.lock().poll_ready(cx)).await;
    }
}

impl InputStream for Input {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        let mut source = self.0.lock();
        if source
            .poll_ready(&mut Context::from_waker(Waker::noop()))
            .is_pending()
        {
            return Ok(Bytes::new());
        }
        let has_ended = source.part.is_empty() && source.broken.is_none();
        match source.take(size) {
            _ if has_ended => Err(StreamError::Closed),
            Ok(bytes) => Ok(bytes),
            Err(error) => Err(StreamError::LastOperationFailed(error.into())),
        }
    }
}

impl AsyncRead for Input {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut source = self.0.lock();
        ready!(source.poll_ready(cx));
        let bytes = source.take(buffer.remaining());
        buffer.put_slice(&bytes.map_err(io::Error::other)?);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Full, StreamBody};

    use super::*;

    #[tokio::test]
    async fn a_body_is_read_in_the_pieces_that_are_asked_for_and_then_closed() {
        let body = Full::new(Bytes::from_static(b"abcde")).map_err(|never| match never {});
        let mut input = Input::new(body.boxed_unsync());
        let mut other = input.clone();
        assert_eq!(input.read(0).unwrap(), "");
        assert_eq!(input.read(3).unwrap(), "abc");
        other.ready().await;
        assert_eq!(other.read(100).unwrap(), "de");
        for input in [&mut input, &mut other] {
            assert!(matches!(input.read(1), Err(StreamError::Closed)));
        }
    }

    #[tokio::test]
    async fn a_break_is_told_once() {
        let parts = futures_util::stream::iter([Err(Error::ConnectionTerminated)]);
        let mut input = Input::new(StreamBody::new(parts).boxed_unsync());
        input.ready().await;
        assert!(matches!(
            input.read(1),
            Err(StreamError::LastOperationFailed(_))
        ));
        assert!(matches!(input.read(1), Err(StreamError::Closed)));
    }
}
