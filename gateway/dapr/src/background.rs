//! The background tasks of one runtime.

use std::{
    future::Future,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::runtime::Handle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Tasks on one Tokio runtime, from its start until they are told to stop. Cloning copies a pointer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Background(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    handle: OnceLock<Handle>,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

impl Background {
    /// Runs tasks on the Tokio runtime it is called in, from now on; before, there are none.
    pub(crate) fn start(&self) {
        let _ = self.0.handle.set(Handle::current());
    }

    /// Runs `work`, which is to end soon after [`Background::stopped`].
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(handle) = self.0.handle.get() {
            self.0.tasks.spawn_on(work, handle);
        }
    }

    /// Returns when the work is told to stop.
    pub(crate) async fn stopped(&self) {
        self.0.stopping.cancelled().await;
    }

    /// Waits as long as `pause`; false if the work is told to stop meanwhile.
    pub(crate) async fn sleep(&self, pause: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(pause) => true,
            () = self.stopped() => false,
        }
    }

    /// Tells the work to stop and waits for its end.
    pub(crate) async fn stop(&self) {
        self.0.stopping.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}
