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

/// How long connections are still accepted after the signal, and how long one must be idle to be closed: enough for a
/// request that was in flight when the signal came, and not noticeable in a restart.
pub(super) const GRACE: Duration = Duration::from_millis(100);

/// The signal to connections that the gateway shuts down.
#[derive(Clone, Debug, Default)]
pub(super) struct Drain(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// The token's state, for checks at every request.
    is_stopping: AtomicBool,
    token: CancellationToken,
}

impl Drain {
    /// Starts the drain.
    pub(super) fn begin(&self) {
        self.0.is_stopping.store(true, Ordering::Release);
        self.0.token.cancel();
    }

    /// A guard that starts the drain when it is dropped, unless it is disarmed: if a part of the workers cannot start,
    /// the others end.
    pub(super) fn guard(&self) -> Guard {
        Guard(Some(self.clone()))
    }

    /// Returns whether the drain has started.
    pub(super) fn is_stopping(&self) -> bool {
        self.0.is_stopping.load(Ordering::Acquire)
    }

    /// Waits until the drain starts.
    pub(super) fn stopping(&self) -> impl Future<Output = ()> + Send + use<> {
        let token = self.0.token.clone();
        Armed {
            drain: self.clone(),
            inner: Box::pin(token.cancelled_owned()),
            is_armed: false,
        }
    }

    /// Waits until the drain has started and the connection has been idle for a while.
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

/// Starts the drain when it is dropped.
pub(super) struct Guard(Option<Drain>);

impl Guard {
    /// Disarms the guard.
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

/// Polls the token only once: the polling task stays the same, and a connection polls this at every turn.
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
