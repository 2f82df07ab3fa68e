//! The drain: requests that have begun to arrive are answered, and only idle connections are closed.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::exchange::Exchange;

/// The time for which connections are still taken after the signal, and for which one must be quiet to be closed: what
/// a request that was on its way when the signal came needs to arrive, and no restart is noticeably longer for it.
pub(super) const GRACE: Duration = Duration::from_millis(100);

/// Tells connections that the gateway ends.
#[derive(Clone, Debug, Default)]
pub(super) struct Drain(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// The token's word for those who ask at every request.
    is_stopping: AtomicBool,
    token: CancellationToken,
}

impl Drain {
    /// Begins the end.
    pub(super) fn begin(&self) {
        self.0.is_stopping.store(true, Ordering::Release);
        self.0.token.cancel();
    }

    /// Begins the end when it is dropped, unless it is disarmed: where a part of the workers cannot start, the others
    /// end.
    pub(super) fn guard(&self) -> Guard {
        Guard(Some(self.clone()))
    }

    /// Returns whether the end has begun.
    pub(super) fn is_stopping(&self) -> bool {
        self.0.is_stopping.load(Ordering::Acquire)
    }

    /// Waits until the end begins.
    pub(super) fn stopping(&self) -> impl Future<Output = ()> + Send + use<> {
        let token = self.0.token.clone();
        Armed {
            drain: self.clone(),
            inner: Box::pin(token.cancelled_owned()),
            is_armed: false,
        }
    }

    /// Waits until the end has begun and a connection has been quiet for a while.
    pub(super) async fn quiet(&self, exchange: &Exchange) {
        self.stopping().await;
        loop {
            let before = exchange.requests();
            tokio::time::sleep(GRACE).await;
            if exchange.is_idle() && exchange.requests() == before {
                return;
            }
        }
    }
}

/// Begins the end when it is dropped.
pub(super) struct Guard(Option<Drain>);

impl Guard {
    /// Lets things go on.
    pub(super) fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(drain) = &self.0 {
            drain.begin();
        }
    }
}

/// Asks the token once: the task it is polled in is the one that it wakes, and a connection polls this at every turn.
struct Armed<F> {
    drain: Drain,
    inner: Pin<Box<F>>,
    is_armed: bool,
}

impl<F: Future<Output = ()>> Future for Armed<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_armed && !self.drain.is_stopping() {
            return Poll::Pending;
        }
        self.is_armed = true;
        self.inner.as_mut().poll(cx)
    }
}
