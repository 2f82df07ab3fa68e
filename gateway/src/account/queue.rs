//! The short queue in front of a package that has its maximum of instances: it absorbs bursts, and refuses requests
//! that would wait in vain.

use std::time::Instant;

use http::request::Parts;

use super::Account;
use crate::{admission::Permit, error::Failure};

/// The memory of a waiting request besides the text of its head: its task, its connection's buffers and its header map.
const WAITING_BYTES: usize = 16 << 10;

/// Waits for a permit of the package, first come, first served. Dropping the future leaves the queue.
///
/// # Errors
/// When the queue is disabled or full, or the wait times out.
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

/// Memory of the package that is reserved for its waiting requests.
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

/// Counts the result of a wait and observes its duration when it is dropped.
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
            // Unless it is set, the client has disconnected.
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
