//! The short queue in front of a package that has its maximum of instances: it absorbs bursts, and refuses requests
//! that would wait in vain.

use std::time::Instant;

use http::request::Parts;

use super::Account;
use crate::{admission::Permit, error::Failure};

/// A request that waits, besides the text of its head, in bytes: its task, its connection's buffers and the places of
/// its fields.
const WAITING_BYTES: usize = 16 << 10;

/// Waits for a permit of the package, behind those who wait already. Dropping the future leaves the queue.
///
/// # Errors
/// When nobody may wait, when as many wait as may, or when it has waited for as long as it may.
pub(crate) async fn wait(account: &Account, request: &Parts) -> Result<Permit, Failure> {
    let limits = account.config.limits;
    if limits.queue == 0 {
        return Err(Failure::Overloaded);
    }
    let mut wait = Wait::new(account);
    let memory = Reserved::new(account, size(request));
    let (Some(_memory), Some(waiting)) = (memory, account.admission.wait(limits.queue)) else {
        wait.result = "full";
        return Err(Failure::QueueFull);
    };
    if let Ok(permit) = tokio::time::timeout(limits.queue_timeout, waiting).await {
        wait.result = "admitted";
        Ok(permit)
    } else {
        wait.result = "late";
        Err(Failure::QueueTimeout)
    }
}

fn size(request: &Parts) -> usize {
    let fields = request.headers.iter();
    let text: usize = fields
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    WAITING_BYTES + text
}

/// Memory of the package that its waiting requests take.
struct Reserved<'a> {
    account: &'a Account,
    bytes: usize,
}

impl<'a> Reserved<'a> {
    fn new(account: &'a Account, bytes: usize) -> Option<Self> {
        let is_reserved = account.memory.reserve(bytes);
        is_reserved.then_some(Self { account, bytes })
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.account.memory.give_back(self.bytes);
    }
}

/// Counts what became of a wait, and observes how long it took, however it ends.
struct Wait<'a> {
    account: &'a Account,
    started: Instant,
    result: &'static str,
}

impl<'a> Wait<'a> {
    fn new(account: &'a Account) -> Self {
        Self {
            account,
            started: Instant::now(),
            // Unless another word is said: the client has gone.
            result: "cancelled",
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let waited = self.started.elapsed().as_secs_f64();
        self.account.metrics().queued(self.result, waited);
    }
}
