//! Waits for data that another gateway still holds: one that drains, on this machine or on a shared volume.

use std::{
    thread,
    time::{Duration, Instant},
};

use wasmgate_dapr::{DataError, OpenError};

/// The interval of tries: there is no notification, and a try costs a few system calls.
const PAUSE: Duration = Duration::from_millis(50);

/// Tries to open what another process holds, up to `patience`; `waits` is called when the wait begins, and when it is
/// over.
///
/// # Errors
/// With the last error.
pub(super) fn until_free<T>(
    patience: Duration,
    waits: impl Fn(Option<String>),
    open: impl Fn() -> Result<T, OpenError>,
) -> Result<T, OpenError> {
    let started = Instant::now();
    let mut is_told = false;
    loop {
        let path = match open() {
            Err(OpenError::Data(DataError::InUse { path })) if started.elapsed() < patience => path,
            opened => {
                if is_told {
                    waits(None);
                    tracing::info!(waited = ?started.elapsed(), free = opened.is_ok(), "the wait for the data folder is over");
                }
                return opened;
            }
        };
        if !is_told {
            is_told = true;
            let reason = format!(
                "data folder {} is in use by another process; this gateway waits for it for up to {patience:?} \
                 (`data_wait` of [dapr])",
                path.display()
            );
            tracing::warn!("{reason}");
            waits(Some(reason));
        }
        thread::sleep(PAUSE);
    }
}
