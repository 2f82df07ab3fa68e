//! The end of an instance's time: its deadline, or that of a package which a reload has replaced.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    time::Duration,
};

use tokio::{sync::Notify, time::sleep};

use super::turns;
use crate::account::Account;

/// An instance's time is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Late {
    /// Its deadline has passed.
    Deadline,
    /// Its package was replaced, and the time for requests in flight is over.
    Replaced,
}

/// Runs `work` until its time is up. Work that never waits costs neither a timer nor a lock. It is pinned by the
/// caller: passed by value, the request's future would hold it twice.
pub(super) async fn in_time<T>(
    account: &Account,
    stream: Option<&Stream>,
    mut work: Pin<&mut impl Future<Output = T>>,
) -> Result<T, Late> {
    let cut = pin!(account.until_cut());
    let work = poll_fn(|cx| {
        turns::begin();
        work.as_mut().poll(cx)
    });
    tokio::select! {
        biased;
        done = work => Ok(done),
        () = cut => Err(Late::Replaced),
        () = deadline(account.config.limits.timeout, stream) => Err(Late::Deadline),
    }
}

async fn deadline(limit: Duration, stream: Option<&Stream>) {
    match stream {
        None => sleep(limit).await,
        // Boxed, so that requests without `idle` have smaller futures.
        Some(stream) => Box::pin(stream.deadline(limit)).await,
    }
}

/// A streaming response: the deadline is suspended between its beginning and its end.
#[derive(Debug, Default)]
pub(super) struct Stream {
    begun: Notify,
    ended: Notify,
}

impl Stream {
    /// The head has been sent. A notification without a waiter is stored.
    pub(super) fn begin(&self) {
        self.begun.notify_one();
    }

    /// Its body has ended. Notified once, so that work after it has one deadline.
    pub(super) fn end(&self) {
        self.ended.notify_one();
    }

    /// Completes when the time until the beginning, or the time after the end, is up.
    async fn deadline(&self, limit: Duration) {
        tokio::select! {
            biased;
            () = self.begun.notified() => {}
            () = sleep(limit) => return,
        }
        self.ended.notified().await;
        sleep(limit).await;
    }
}
