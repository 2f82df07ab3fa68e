//! A request's body on its way from the connection, and what happens when nobody wants the rest.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Version, header::EXPECT};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::{runtime::Handle, time::timeout};

use super::{
    closing::{LINGER_BYTES, LINGER_PAUSE, LINGER_TIME},
    exchange::Exchange,
};

/// How much of an unwanted body is read so that the connection can serve another request: as much as Go's server reads.
const DRAIN_BYTES: u64 = 256 << 10;

/// The time-out for that: beyond it a new connection is cheaper.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// How long to wait for the rest of an unread upload before its response is sent: what was sent together with the head
/// arrives in less, and a response is hardly delayed.
const SETTLE_TIME: Duration = Duration::from_millis(20);

/// The body of a request. If it is dropped before its end, a short rest is read.
pub(super) struct Upload {
    /// Taken when the rest is read without its owner.
    body: Option<Incoming>,
    exchange: Arc<Exchange>,
    rest: Rest,
    /// The number of the request on its connection (HTTP/1).
    request: u32,
}

/// What happens to the rest of a body when its owner is gone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// It is read within the budget.
    Drained,
    /// It is not read: the client waits for `100 Continue` (RFC 9110, 10.1.1).
    Expected,
    /// It is read as long as a closed connection would be: HTTP/2 ends the stream alone, with a reset (RFC 9113, 8.1),
    /// and not every client takes the answer from a stream that is reset while it sends.
    Lingering,
    /// There is none.
    Ended,
}

impl Upload {
    /// Wraps the body of a request.
    pub(super) fn wrap(request: Request<Incoming>, exchange: &Arc<Exchange>) -> Request<Self> {
        let mut number = 0;
        let rest = if request.body().is_end_stream() {
            Rest::Ended
        } else if request.version() == Version::HTTP_2 {
            Rest::Lingering
        } else {
            let is_expected = request.headers().contains_key(EXPECT);
            number = exchange.hold(is_expected);
            match is_expected {
                true => Rest::Expected,
                false => Rest::Drained,
            }
        };
        request.map(|body| Self {
            body: Some(body),
            exchange: Arc::clone(exchange),
            rest,
            request: number,
        })
    }

    /// It was read to its end, or was aborted.
    fn end(&mut self) {
        if self.rest != Rest::Ended && self.rest != Rest::Lingering {
            self.exchange.let_go(self.request);
        }
        self.rest = Rest::Ended;
    }
}

/// Decides, once there is a response (complete if `whole`), what happens to an upload that was not read to its end: the
/// connection is kept if the rest has arrived or is short, and otherwise the response has `connection: close`. The rest
/// of a body of unknown length is awaited before the response is sent: afterwards it would be too late for that header.
pub(super) async fn settle(exchange: &Arc<Exchange>, whole: bool) {
    if exchange.is_settled() {
        return;
    }
    if whole {
        // The guest is about to end.
        let _ = timeout(SETTLE_TIME, exchange.until_let_go()).await;
    }
    match exchange.answered() {
        // Nobody will read it any more, or this response stands for `100 Continue`: whether the body is sent is up to
        // the client.
        (None, true) if whole || exchange.is_expected() => exchange.leave_unread(),
        (None, _) => {}
        (Some(body), _) if body.size_hint().upper().is_some() => {
            spawn_drain(body, (DRAIN_TIME, DRAIN_BYTES), exchange);
        }
        (Some(body), _) => {
            let drained = timeout(SETTLE_TIME, drain(body, DRAIN_BYTES, exchange));
            if drained.await != Ok(true) {
                exchange.leave_unread();
            }
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let Some(body) = self.body.take() else { return };
        if body.is_end_stream() {
            return self.end();
        }
        match self.rest {
            Rest::Ended => {}
            Rest::Lingering => spawn_drain(body, (LINGER_TIME, LINGER_BYTES), &self.exchange),
            Rest::Drained if body.size_hint().lower() <= DRAIN_BYTES => {
                if let Some(body) = self.exchange.leave(self.request, body) {
                    spawn_drain(body, (DRAIN_TIME, DRAIN_BYTES), &self.exchange);
                }
            }
            Rest::Drained | Rest::Expected => {
                self.exchange.leave_unread();
                self.exchange.let_go(self.request);
            }
        }
    }
}

fn spawn_drain(body: Incoming, (time, bytes): (Duration, u64), exchange: &Arc<Exchange>) {
    // When a worker ends, its connections are dropped after its runtime can spawn tasks.
    if let Ok(runtime) = Handle::try_current() {
        let exchange = Arc::clone(exchange);
        runtime.spawn(timeout(
            time,
            async move { drain(body, bytes, &exchange).await },
        ));
    }
}

/// Reads a body; returns whether to its end.
async fn drain(mut body: Incoming, most: u64, exchange: &Exchange) -> bool {
    let mut bytes = 0_u64;
    loop {
        let frame = match timeout(LINGER_PAUSE, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(None) => return true,
            _ => return false,
        };
        let length = frame.data_ref().map_or(0, Bytes::len);
        exchange.take(length);
        bytes = bytes.saturating_add(length as u64);
        if bytes > most {
            return false;
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = self.body.as_mut() else {
            return Poll::Ready(None);
        };
        let frame = Pin::new(body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            self.exchange.take(frame.data_ref().map_or(0, Bytes::len));
        }
        match &frame {
            Poll::Ready(None) => self.end(),
            Poll::Ready(Some(Err(_))) => {
                // Without its end the start of the next request is unknown.
                self.exchange.leave_unread();
                self.end();
            }
            Poll::Ready(Some(Ok(_))) if self.is_end_stream() => self.end(),
            // Polling the body makes hyper send `100 Continue`.
            Poll::Ready(Some(Ok(_))) | Poll::Pending if self.rest == Rest::Expected => {
                self.rest = Rest::Drained;
                self.exchange.ask();
            }
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(SizeHint::default, Body::size_hint)
    }
}
