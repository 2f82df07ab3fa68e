//! Retries transient failures after a pause.

use std::time::Duration;

use super::error::RegistryError;

/// The pauses between tries when there is nothing to fall back to: a registry that is started anew is back within them.
pub(super) const PATIENT: &[Duration] = &[
    Duration::from_millis(250),
    Duration::from_millis(750),
    Duration::from_secs(2),
];

/// The pauses when there is.
pub(super) const BRIEF: &[Duration] = &[Duration::from_millis(250)];

/// The tries that are left.
pub(super) struct Retries {
    pauses: std::slice::Iter<'static, Duration>,
}

impl Retries {
    pub(super) fn new(pauses: &'static [Duration]) -> Self {
        Self {
            pauses: pauses.iter(),
        }
    }

    /// Waits before the next try, at least as long as the registry asks to.
    ///
    /// # Errors
    /// With the same error, when another try is of no use or none is left.
    pub(super) async fn wait_after(&mut self, error: RegistryError) -> Result<(), RegistryError> {
        if !error.is_passing() {
            return Err(error);
        }
        let Some(pause) = self.pauses.next() else {
            return Err(error);
        };
        tracing::debug!(%error, "the registry is asked again");
        tokio::time::sleep(error.after().unwrap_or_default().max(*pause)).await;
        Ok(())
    }
}
