//! The end of an instance's time: its deadline, or that of a package which another configuration has replaced.

use std::{future::Future, pin::pin};

use tokio::time::sleep;

use crate::account::Account;

/// An instance's time is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Late {
    /// Its deadline has passed.
    Deadline,
    /// Its package was replaced, and what was in flight has had its time.
    Replaced,
}

/// Runs `work` until its time is up. Work that never waits costs neither a timer nor a lock.
pub(super) async fn in_time<T>(account: &Account, work: impl Future<Output = T>) -> Result<T, Late> {
    let (work, cut) = (pin!(work), pin!(account.until_cut()));
    tokio::select! {
        biased;
        done = work => Ok(done),
        () = cut => Err(Late::Replaced),
        () = sleep(account.config.limits.timeout) => Err(Late::Deadline),
    }
}
