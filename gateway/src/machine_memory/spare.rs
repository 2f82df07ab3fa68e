//! Resources that are kept for future requests and given up when they are needed now.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;

/// Somebody who keeps memory and slots that nobody uses now.
pub(crate) trait Spare: fmt::Debug + Send + Sync {
    /// Gives all of it up, and returns whether there was any. What of it is reserved is given back before this returns;
    /// the rest goes as soon as this thread's other tasks have a turn.
    fn give_up(&self) -> bool;
}

/// All who keep something.
#[derive(Debug, Default)]
pub(super) struct Spares(Mutex<Vec<Weak<dyn Spare>>>);

impl Spares {
    /// Adds one, for as long as it is there.
    pub(super) fn add(&self, spare: Weak<dyn Spare>) {
        let mut all = self.0.lock();
        all.retain(|spare| spare.strong_count() > 0);
        all.push(spare);
    }

    /// Has all of them give up what they keep, and returns whether there was any.
    pub(super) fn give_up(&self) -> bool {
        // Not under the lock: who ends may look here.
        let all: Vec<Arc<dyn Spare>> = self.0.lock().iter().filter_map(Weak::upgrade).collect();
        let mut is_any = false;
        for spare in all {
            is_any |= spare.give_up();
        }
        is_any
    }
}
