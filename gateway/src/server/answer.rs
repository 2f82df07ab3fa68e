//! The body of a response on its way to the connection: it signals its end, and counts the bytes that wait.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::{exchange::Exchange, streams::Sent};
use crate::unsent::Held;

/// The maximum size of a piece. Over HTTP/1.1 more would only be buffered elsewhere; over HTTP/2 a piece is one frame,
/// so the library buffers hardly more than a stream's window.
const PIECE: usize = 64 << 10;
const HTTP2_PIECE: usize = 16 << 10;

/// The body of a response.
pub(super) struct Answer<B> {
    body: B,
    exchange: Arc<Exchange>,
    /// Bytes taken from the body and not yet passed on.
    rest: Bytes,
    /// Counts what is not passed on yet; `None` for small bodies.
    held: Option<Held>,
    /// The response's stream, over HTTP/2.
    stream: Option<Arc<Sent>>,
}

impl<B: Body> Answer<B> {
    pub(super) fn new(body: B, exchange: Arc<Exchange>) -> Self {
        let stream = Sent::current();
        let ready = body.size_hint().lower();
        let ready = usize::try_from(ready).unwrap_or(usize::MAX);
        // Of an announced length only what can be buffered counts.
        let held = (ready > PIECE).then(|| exchange.unsent.hold(ready.min(MOST_READY)));
        Self {
            body,
            exchange,
            rest: Bytes::new(),
            held,
            stream,
        }
    }
}

/// The maximum of a body that is buffered before it is sent: what a guest may write ahead, in two parts.
const MOST_READY: usize = 2 * crate::unsent::CHUNK;

impl<B: Body<Data = Bytes>> Answer<B> {
    /// Takes a piece off the rest.
    fn piece(&mut self) -> Frame<Bytes> {
        let most = if self.stream.is_some() {
            HTTP2_PIECE
        } else {
            PIECE
        };
        let piece = self.rest.split_to(self.rest.len().min(most));
        if let Some(held) = &mut self.held {
            let ready = usize::try_from(self.body.size_hint().lower()).unwrap_or(usize::MAX);
            held.set(ready.min(MOST_READY).saturating_add(self.rest.len()));
        }
        Frame::data(match &self.stream {
            Some(stream) => stream.count(piece, &self.exchange.unsent),
            None if self.held.is_some() => Bytes::from_owner(Counted {
                _held: self.exchange.unsent.hold(piece.len()),
                bytes: piece,
            }),
            None => piece,
        })
    }
}

/// Bytes that are counted until the last reference to them is dropped.
struct Counted {
    bytes: Bytes,
    _held: Held,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl<B> Drop for Answer<B> {
    fn drop(&mut self) {
        self.exchange.end();
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Answer<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(self.piece())));
        }
        let frame = match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => frame,
            other => return other,
        };
        match frame.into_data() {
            Ok(data) if data.is_empty() => Poll::Ready(Some(Ok(Frame::data(data)))),
            Ok(data) => {
                if self.held.is_none() && data.len() > PIECE {
                    self.held = Some(self.exchange.unsent.hold(data.len()));
                }
                self.rest = data;
                Poll::Ready(Some(Ok(self.piece())))
            }
            Err(trailers) => Poll::Ready(Some(Ok(trailers))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (of_body, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(of_body.lower().saturating_add(rest));
        if let Some(upper) = of_body.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}
