//! The current components: read by every call, and replaced as a whole when the resource YAML is read again.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::Components;

/// The components that hold now. Cloning copies a pointer.
#[derive(Clone, Debug)]
pub(crate) struct Current(Arc<ArcSwap<Components>>);

impl Current {
    pub(crate) fn new(components: Components) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(components)))
    }

    /// The components, which stay as they are for who has asked.
    pub(crate) fn load(&self) -> Arc<Components> {
        self.0.load_full()
    }

    /// Puts others in their place, unless they say the same: circuits, schedules and subscriptions go on then. Returns
    /// whether they did not.
    pub(crate) fn replace(&self, components: Components) -> bool {
        let is_new = self.0.load().fingerprint != components.fingerprint;
        if is_new {
            self.0.store(Arc::new(components));
        }
        is_new
    }
}
