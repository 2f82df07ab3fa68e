//! Calls that take much memory while they are answered: each app has so many at a time, and the others wait.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{app::AppId, protocol::operation::Operation};

/// Heavy calls of one app at a time. There is one writer, so more of them would not be faster; and what one of them
/// takes at most (a few times a body, or an answer that is put together) times this is well below what an app may take
/// anyway.
const AT_A_TIME: usize = 8;

/// Bodies above this many bytes make a call heavy.
const LARGE: usize = 64 * 1024;

/// The places of heavy calls, by app.
#[derive(Debug, Default)]
pub(crate) struct Heavy(Mutex<HashMap<AppId, Arc<Semaphore>>>);

/// Returns whether `operation` reads a whole body, and is over without waiting for another app or a server.
pub(super) fn is_bounded(operation: &Operation) -> bool {
    use Operation as Op;
    matches!(
        operation,
        Op::SaveState { .. }
            | Op::Transact { .. }
            | Op::BulkGetState { .. }
            | Op::QueryState { .. }
            | Op::Publish { .. }
            | Op::BulkPublish { .. }
    )
}

impl Heavy {
    /// Waits for a place for a call of `app` with a body of so many bytes, if it is heavy.
    pub(super) async fn place(&self, app: &AppId, operation: &Operation, bytes: usize) -> Option<OwnedSemaphorePermit> {
        use Operation as Op;
        // What these answer or make of their bodies may be larger by far.
        let grows = matches!(
            operation,
            Op::BulkGetState { .. } | Op::QueryState { .. } | Op::BulkPublish { .. }
        );
        if bytes <= LARGE && !grows {
            return None;
        }
        let places = {
            let mut places = self.0.lock();
            let of = places
                .entry(app.clone())
                .or_insert_with(|| Arc::new(Semaphore::new(AT_A_TIME)));
            Arc::clone(of)
        };
        places.acquire_owned().await.ok()
    }
}
