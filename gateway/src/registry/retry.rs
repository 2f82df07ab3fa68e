//! Retries transient failures after a pause.

use std::time::Duration;

use super::error::RegistryError;

/// The pauses between tries without a fallback: long enough for a registry to restart.
pub(super) const PATIENT: &[Duration] = &[
    Duration::from_millis(250),
    Duration::from_millis(750),
    Duration::from_secs(2),
];

/// The pauses with a fallback.
pub(super) const BRIEF: &[Duration] = &[Duration::from_millis(250)];

/// The remaining tries.
pub(super) struct Retries {
    pauses: std::slice::Iter<'static, Duration>,
}

impl Retries {
    pub(super) fn new(pauses: &'static [Duration]) -> Self {
        Self {
            pauses: pauses.iter(),
        }
    }

    /// Waits before the next try, at least for the registry's `retry-after`.
    ///
    /// # Errors
    /// With the same error, if retrying is useless or no try is left.
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
