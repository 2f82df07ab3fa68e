//! Resources that are kept for future requests and given up when they are needed now.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;

/// A holder of idle memory and slots.
pub(crate) trait Spare: fmt::Debug + Send + Sync {
    /// Gives all of it up, and returns whether there was any. Reservations are released before this returns; the rest
    /// goes as soon as this thread's other tasks run.
    fn give_up(&self) -> bool;
}

/// All holders.
#[derive(Debug, Default)]
pub(super) struct Spares(Mutex<Vec<Weak<dyn Spare>>>);

impl Spares {
    /// Adds a holder, for as long as it lives.
    pub(super) fn add(&self, spare: Weak<dyn Spare>) {
        let mut all = self.0.lock();
        all.retain(|spare| spare.strong_count() > 0);
        all.push(spare);
    }

    /// Makes all of them give up what they hold, and returns whether there was any.
    pub(super) fn give_up(&self) -> bool {
        // Not under the lock: dropping instances may take it.
        let all: Vec<Arc<dyn Spare>> = self.0.lock().iter().filter_map(Weak::upgrade).collect();
        let mut is_any = false;
        for spare in all {
            is_any |= spare.give_up();
        }
        is_any
    }
}
