//! The gateway that serves now: replaced by a reload, and loaded by each request.

use std::sync::{Arc, Weak};

use arc_swap::{ArcSwap, Guard};

use super::Gateway;

/// The gateway of now. Cloning copies a pointer.
#[derive(Clone)]
pub(crate) struct Current(Arc<Both>);

/// The gateway of now, for who must not keep it alive.
#[derive(Clone)]
pub(crate) struct WeakCurrent(Weak<Both>);

struct Both {
    /// What requests from outside get.
    serving: ArcSwap<Gateway>,
    /// What the building blocks call: first with the next one, which is asked there for its subscriptions before it is
    /// served.
    called: ArcSwap<Gateway>,
}

impl Current {
    /// The first one.
    pub(crate) fn new(gateway: Arc<Gateway>) -> Self {
        Self(Arc::new(Both {
            serving: ArcSwap::new(Arc::clone(&gateway)),
            called: ArcSwap::new(gateway),
        }))
    }

    /// The gateway for a request, which stays as it is as long as that is asked for.
    pub(crate) fn load(&self) -> Guard<Arc<Gateway>> {
        self.0.serving.load()
    }

    /// The gateway for a call of the building blocks.
    pub(crate) fn load_called(&self) -> Arc<Gateway> {
        self.0.called.load_full()
    }

    /// Has the building blocks call another one.
    pub(crate) fn call(&self, next: Arc<Gateway>) {
        self.0.called.store(next);
    }

    /// Serves another one from the next request on, and answers with the one before.
    pub(crate) fn serve(&self, next: Arc<Gateway>) -> Arc<Gateway> {
        self.0.serving.swap(next)
    }

    /// The same without keeping it alive.
    pub(crate) fn downgrade(&self) -> WeakCurrent {
        WeakCurrent(Arc::downgrade(&self.0))
    }
}

impl WeakCurrent {
    /// The gateway for a call of the building blocks, unless the end has come.
    pub(crate) fn load_called(&self) -> Option<Arc<Gateway>> {
        Some(self.0.upgrade()?.called.load_full())
    }
}
