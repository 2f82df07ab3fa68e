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

/// The bytes that are read of a body that nobody wants, so that the connection can serve another request: what Go's
/// server reads.
const DRAIN_BYTES: u64 = 256 << 10;

/// The time that this may take: beyond it another connection is cheaper.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// The time in which the rest of an upload that nobody reads is looked for before its answer goes out: what was sent
/// together with the head is here in less, and an answer is hardly later for it.
const SETTLE_TIME: Duration = Duration::from_millis(20);

/// The body of a request; dropped before its end, it is read to its end if that is near.
pub(super) struct Upload {
    /// Taken when the rest is to be read without its owner.
    body: Option<Incoming>,
    exchange: Arc<Exchange>,
    rest: Rest,
    /// The number of the request on its connection (HTTP/1).
    request: u32,
}

/// The worth of the rest of a body once its owner is gone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// It is read within the budget.
    Drained,
    /// It is left: the client waits for our word before it sends it (RFC 9110, 10.1.1).
    Expected,
    /// It is read as long as a closed connection would be: HTTP/2 ends the stream alone, with a reset (RFC 9113, 8.1),
    /// and not every client takes the answer from a stream that is reset while it sends.
    Lingering,
    /// There is none.
    Ended,
}

impl Upload {
    /// Puts the body of a request under these rules.
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

    /// It has been read to its end, or broke off.
    fn end(&mut self) {
        if self.rest != Rest::Ended && self.rest != Rest::Lingering {
            self.exchange.let_go(self.request);
        }
        self.rest = Rest::Ended;
    }
}

/// Decides, now that there is an answer that is `whole` or not, what becomes of an upload that was not read to its end:
/// the connection goes on if its rest is here or near, and otherwise the answer is to say that it ends. A rest of
/// unknown length is looked for before the answer goes out: after it, it would be too late to say so.
pub(super) async fn settle(exchange: &Arc<Exchange>, whole: bool) {
    if exchange.is_settled() {
        return;
    }
    if whole {
        // The guest is about to end.
        let _ = timeout(SETTLE_TIME, exchange.until_let_go()).await;
    }
    match exchange.answered() {
        // Nobody is likely to read it any more, or our word is this answer: whether the body comes is up to the client.
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
    // At the end of a worker what is left of its connections is dropped when nothing can be started any more.
    if let Ok(runtime) = Handle::try_current() {
        let exchange = Arc::clone(exchange);
        runtime.spawn(timeout(
            time,
            async move { drain(body, bytes, &exchange).await },
        ));
    }
}

/// Reads a body; says whether to its end.
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
                // Where it would end, and the next request begin, nobody knows.
                self.exchange.leave_unread();
                self.end();
            }
            Poll::Ready(Some(Ok(_))) if self.is_end_stream() => self.end(),
            // Whoever has asked for the body has told the client to send it.
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
