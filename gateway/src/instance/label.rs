//! The request and package that log lines and metrics refer to.

use std::sync::Arc;

use crate::{account::Account, error::Failure, request_headers::RequestId};

/// One request of one package.
#[derive(Clone)]
pub(super) struct Label {
    pub(super) account: Arc<Account>,
    pub(super) request_id: RequestId,
}

impl Label {
    /// Counts and logs a guest's failure; `error` has details beyond the reason.
    pub(super) fn failed(&self, failure: Failure, error: &str) -> Failure {
        match failure {
            Failure::Deadline | Failure::FirstByteTimeout | Failure::IdleTimeout | Failure::RequestTimeout => {
                self.account.metrics().timeouts.inc()
            }
            Failure::GuestTrap | Failure::MemoryLimit => self.account.metrics().traps.inc(),
            // The guest did nothing wrong.
            Failure::Replaced => self.account.metrics().refused(failure.reason()),
            _ => {}
        }
        tracing::warn!(package = %self.account.name(), request_id = self.request_id.as_str(),
            reason = failure.reason(), error, "the guest failed");
        failure
    }
}
