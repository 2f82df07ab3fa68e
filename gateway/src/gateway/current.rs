//! The gateway that serves now: replaced by a reload, and loaded by each request.

use std::sync::{Arc, Weak};

use arc_swap::{ArcSwap, Guard};

use super::Gateway;

/// The gateway that serves now. Cloning copies a pointer.
#[derive(Clone)]
pub(crate) struct Current(Arc<Both>);

/// A weak reference to the gateway that serves now.
#[derive(Clone)]
pub(crate) struct WeakCurrent(Weak<Both>);

struct Both {
    /// Serves requests from outside.
    serving: ArcSwap<Gateway>,
    /// Called by the building blocks. During a reload it is the next gateway, which has to report its subscriptions
    /// before it serves.
    called: ArcSwap<Gateway>,
}

impl Current {
    /// Starts with the first gateway.
    pub(crate) fn new(gateway: Arc<Gateway>) -> Self {
        Self(Arc::new(Both {
            serving: ArcSwap::new(Arc::clone(&gateway)),
            called: ArcSwap::new(gateway),
        }))
    }

    /// The gateway for a request; it does not change while the guard is held.
    pub(crate) fn load(&self) -> Guard<Arc<Gateway>> {
        self.0.serving.load()
    }

    /// The gateway for a call of the building blocks.
    pub(crate) fn load_called(&self) -> Arc<Gateway> {
        self.0.called.load_full()
    }

    /// Makes the building blocks call another gateway.
    pub(crate) fn call(&self, next: Arc<Gateway>) {
        self.0.called.store(next);
    }

    /// Serves another gateway from the next request on, and returns the previous one.
    pub(crate) fn serve(&self, next: Arc<Gateway>) -> Arc<Gateway> {
        self.0.serving.swap(next)
    }

    /// A weak reference to it.
    pub(crate) fn downgrade(&self) -> WeakCurrent {
        WeakCurrent(Arc::downgrade(&self.0))
    }
}

impl WeakCurrent {
    /// The gateway for a call of the building blocks; `None` after shutdown.
    pub(crate) fn load_called(&self) -> Option<Arc<Gateway>> {
        Some(self.0.upgrade()?.called.load_full())
    }
}
