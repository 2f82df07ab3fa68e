//! The end of an instance's time: its deadline, or that of a package which another configuration has replaced.

use std::{future::Future, pin::pin, time::Duration};

use tokio::time::{Instant, sleep_until};

use crate::account::Account;

/// The time between two looks whether a long-lived instance's package is to end: what a reload may take longer than it
/// says, and work for none that ends sooner.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// An instance's time is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Late {
    /// Its deadline has passed.
    Deadline,
    /// Its package was replaced, and what was in flight has had its time.
    Replaced,
}

/// Runs `work` until its time is up.
pub(super) async fn in_time<T>(account: &Account, work: impl Future<Output = T>) -> Result<T, Late> {
    let deadline = Instant::now() + account.config.limits.timeout;
    let mut work = pin!(work);
    // One timer for both: those that have one for the deadline alone pay no more.
    let next = || deadline.min(Instant::now() + LOOK_AGAIN);
    let mut timer = pin!(sleep_until(next()));
    loop {
        tokio::select! {
            biased;
            done = &mut work => return Ok(done),
            () = &mut timer => {}
        }
        if account.is_cut() {
            return Err(Late::Replaced);
        }
        if Instant::now() >= deadline {
            return Err(Late::Deadline);
        }
        timer.as_mut().reset(next());
    }
}
