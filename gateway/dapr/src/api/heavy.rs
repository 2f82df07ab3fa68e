//! Calls that take much memory and time: a limited number of each app run at once, on threads of their own, and others
//! wait.

use std::sync::OnceLock;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::{
    app::AppId,
    error::{ApiError, ApiResult},
    protocol::operation::Operation,
    shares::{Share, Shares},
};

/// Heavy calls of one app at a time. There is one writer, so more of them would not be faster; and what one of them
/// takes at most (a few times a body, or an answer that is put together) times this is well below what an app may take
/// anyway.
const AT_A_TIME: usize = 2;

/// Heavy calls of all apps at a time: each has a thread, and a runtime has some hundred of those, which look-ups of
/// names and files need too.
const OF_ALL: usize = 128;

/// Bodies above this many bytes make a call heavy.
const LARGE: usize = 64 * 1024;

/// The places of heavy calls.
#[derive(Debug)]
pub(crate) struct Heavy {
    places: Shares<AppId>,
    threads: OnceLock<Handle>,
}

impl Default for Heavy {
    fn default() -> Self {
        Self {
            places: Shares::new(AT_A_TIME, OF_ALL),
            threads: OnceLock::new(),
        }
    }
}

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
    /// Has the threads be those of the Tokio runtime it is called in: of one for all, as each keeps much of the memory
    /// that it had.
    pub(crate) fn start(&self) {
        self.threads.get_or_init(Handle::current);
    }

    /// Does a heavy call on a thread of its own: it computes for tens of milliseconds in one piece, for which no other
    /// request waits there. Given up, it ends where it next waits.
    pub(super) async fn apart(&self, call: impl Future<Output = ApiResult> + Send + 'static) -> ApiResult {
        let given_up = CancellationToken::new();
        let _guard = given_up.clone().drop_guard();
        let runtime = Handle::current();
        let threads = self.threads.get().unwrap_or(&runtime).clone();
        let work = move || runtime.block_on(given_up.run_until_cancelled_owned(call));
        match threads.spawn_blocking(work).await {
            Ok(Some(answer)) => answer,
            Ok(None) | Err(_) => Err(ApiError::new(500, "ERR_INTERNAL", "the call was given up")),
        }
    }

    /// Waits for a place for a call of `app` with a body of so many bytes, if it is heavy.
    pub(super) async fn place(&self, app: &AppId, operation: &Operation, bytes: usize) -> Option<Share> {
        use Operation as Op;
        // What these answer or make of their bodies may be larger by far.
        let grows = matches!(
            operation,
            Op::BulkGetState { .. } | Op::QueryState { .. } | Op::BulkPublish { .. }
        );
        if bytes <= LARGE && !grows {
            return None;
        }
        self.places.take(app).await
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, sync::mpsc, time::Duration};

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_call_on_a_thread_of_its_own_holds_up_nobody() {
        let heavy = Heavy::default();
        let (tell, told) = mpsc::channel();
        let work = async move {
            let told = told.recv_timeout(Duration::from_secs(20));
            Err(ApiError::malformed(format!("{}", told.is_ok())))
        };
        let others = async move { tell.send(()).unwrap() };
        let (answer, ()) = tokio::join!(heavy.apart(work), others);
        assert_eq!(answer.unwrap_err().message(), "true");
    }

    #[tokio::test]
    async fn a_call_that_is_given_up_ends_where_it_waits() {
        let (held, freed) = oneshot::channel::<()>();
        let (begin, begun) = oneshot::channel();
        let work = async move {
            let _held = held;
            begin.send(()).unwrap();
            pending().await
        };
        let call = tokio::spawn(async move { Heavy::default().apart(work).await });
        begun.await.unwrap();
        call.abort();
        assert!(freed.await.is_err());
    }
}
