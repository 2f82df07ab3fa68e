//! The bodies of an outgoing request and of its response, within the guest's time-outs.

use std::{
    future::{Future as _, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use tokio::{task::coop::poll_proceed, time::Sleep};
use wasmtime_wasi_http::{Error, WasiBody};

use super::{failed::Failed, outgoing::Outgoing};

/// How much of a request's body is collected first: a body that ends within it has a length, and can be sent again.
const WHOLE_BYTES: usize = 64 << 10;

/// A request's body.
pub(super) enum Sending {
    /// It is complete.
    Whole(Bytes),
    /// The guest is still writing it.
    Streamed(WasiBody),
}

impl Sending {
    /// Collects what the guest has written so far.
    pub(super) async fn gather(mut body: WasiBody) -> Self {
        if body.is_end_stream() {
            return Self::Whole(Bytes::new());
        }
        let mut taken = Vec::new();
        let mut length = 0;
        let whole = poll_fn(|cx| {
            while length <= WHOLE_BYTES {
                match Pin::new(&mut body).poll_frame(cx) {
                    Poll::Ready(Some(Ok(frame))) if frame.is_data() => {
                        length += frame.data_ref().map_or(0, Bytes::len);
                        taken.push(Ok(frame));
                    }
                    Poll::Ready(None) => return Poll::Ready(true),
                    Poll::Ready(Some(other)) => {
                        taken.push(other);
                        return Poll::Ready(false);
                    }
                    Poll::Pending => return Poll::Ready(false),
                }
            }
            Poll::Ready(false)
        })
        .await;
        if !whole {
            let body = Begun {
                taken: taken.into_iter(),
                rest: body,
            };
            return Self::Streamed(body.boxed_unsync());
        }
        let data = taken
            .into_iter()
            .filter_map(|frame| frame.ok()?.into_data().ok());
        let mut joined = BytesMut::with_capacity(length);
        data.for_each(|data| joined.extend_from_slice(&data));
        Self::Whole(joined.freeze())
    }

    /// The body to send; it keeps `outgoing` alive.
    pub(super) fn body(self, outgoing: &Arc<Outgoing>) -> WasiBody {
        match self {
            Self::Whole(bytes) => Full::new(bytes)
                .map_err(|never| match never {})
                .boxed_unsync(),
            Self::Streamed(rest) => Held {
                body: rest,
                _outgoing: Arc::clone(outgoing),
            }
            .boxed_unsync(),
        }
    }
}

/// A body whose beginning was collected already.
struct Begun {
    taken: std::vec::IntoIter<Result<Frame<Bytes>, Error>>,
    rest: WasiBody,
}

impl Body for Begun {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self.taken.next() {
            Some(frame) => Poll::Ready(Some(frame)),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }
}

/// A body that holds its request's permits: the connection is in use until both bodies have ended.
struct Held {
    body: WasiBody,
    _outgoing: Arc<Outgoing>,
}

impl Body for Held {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A response's body with the guest's time-out between bytes.
pub(super) struct Paced {
    body: Incoming,
    outgoing: Arc<Outgoing>,
    /// The time-out for the next bytes, from when they are awaited.
    limit: Option<Duration>,
    /// The time-out after the first ones.
    between: Option<Duration>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Paced {
    /// `first` is the rest of the time-out for the first byte.
    pub(super) fn new(
        body: Incoming,
        outgoing: Arc<Outgoing>,
        first: Option<Duration>,
        between: Option<Duration>,
    ) -> Self {
        Self {
            body,
            outgoing,
            limit: first.or(between),
            between,
            pause: None,
        }
    }
}

impl Body for Paced {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        // Without it, a body that always has another frame would never yield.
        let turn = ready!(poll_proceed(cx));
        if let Poll::Ready(frame) = pin!(&mut self.body).poll_frame(cx) {
            turn.made_progress();
            self.pause = None;
            self.limit = self.between;
            let outgoing = &self.outgoing;
            let failed = |error: hyper::Error| {
                let failed = Failed::from_error(&error, Error::HttpProtocolError).after_a_part();
                outgoing.failed(failed)
            };
            return Poll::Ready(frame.map(|frame| frame.map_err(failed)));
        }
        let Some(limit) = self.limit else {
            return Poll::Pending;
        };
        let pause = self
            .pause
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(pause.as_mut().poll(cx));
        let detail = format!("no bytes of the body came for {limit:?}");
        let failed = Failed::new(Error::ConnectionReadTimeout, detail);
        Poll::Ready(Some(Err(self.outgoing.failed(failed))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
