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
    /// Its package was replaced, and what was in flight has had its time.
    Replaced,
}

/// Runs `work` until its time is up. Work that never waits costs neither a timer nor a lock; it stays where it is, or
/// the task would have two places for it.
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
        // On the heap, so that those who have none are no larger for it.
        Some(stream) => Box::pin(stream.deadline(limit)).await,
    }
}

/// A response that may go on for as long as its parts come: the deadline is off between its beginning and its end.
#[derive(Debug, Default)]
pub(super) struct Stream {
    begun: Notify,
    ended: Notify,
}

impl Stream {
    /// Its head is here. What was said before anybody waits for it is heard by who comes.
    pub(super) fn begin(&self) {
        self.begun.notify_one();
    }

    /// Its body has ended. Said once, so that what is done after it has one deadline and no other.
    pub(super) fn end(&self) {
        self.ended.notify_one();
    }

    /// Returns when the time until the beginning or the time after the end is up.
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
