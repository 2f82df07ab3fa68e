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

/// The bytes that are handed over at once. Over HTTP/1.1 more would only wait in another place; over HTTP/2 it is one
/// frame, so that what the library keeps of a stream is hardly more than its window.
const PIECE: usize = 64 << 10;
const HTTP2_PIECE: usize = 16 << 10;

/// The body of an answer.
pub(super) struct Answer<B> {
    body: B,
    exchange: Arc<Exchange>,
    /// What was taken from the body and not handed over.
    rest: Bytes,
    /// The count of what is not handed over; none for what is too small to count.
    held: Option<Held>,
    /// The answer's stream, over HTTP/2.
    stream: Option<Arc<Sent>>,
}

impl<B: Body> Answer<B> {
    pub(super) fn new(body: B, exchange: Arc<Exchange>) -> Self {
        let stream = Sent::current();
        let ready = body.size_hint().lower();
        let ready = usize::try_from(ready).unwrap_or(usize::MAX);
        // A length that is only announced counts for what can be there of it.
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

/// The most bytes of a body that are there before it is sent: what a guest may write ahead, in two parts.
const MOST_READY: usize = 2 * crate::unsent::CHUNK;

impl<B: Body<Data = Bytes>> Answer<B> {
    /// Hands over a piece of the rest.
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

/// Bytes that count until the last of them is gone.
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
