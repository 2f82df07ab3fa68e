//! How many requests may be under way: of one instance, of one package, and of all.
//!
//! A request holds its slots until both bodies have ended, so that connections and their descriptors are bounded by
//! them; idle connections have a bound of their own.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// A count that does not exceed its limit. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Slots(Arc<Counted>);

#[derive(Debug)]
struct Counted {
    taken: AtomicUsize,
    limit: usize,
}

impl Slots {
    /// This many slots.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Counted {
            taken: AtomicUsize::new(0),
            limit,
        }))
    }

    /// Takes a slot, if one is free.
    pub(super) fn take(&self) -> Option<Slot> {
        let Counted { taken, limit } = &*self.0;
        let free = |now: usize| (now < *limit).then_some(now + 1);
        taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, free)
            .ok()?;
        Some(Slot(self.clone()))
    }

    /// How many there are.
    pub(super) fn limit(&self) -> usize {
        self.0.limit
    }
}

/// A slot that is taken until it is dropped.
#[derive(Debug)]
pub(super) struct Slot(Slots);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_slots_as_said_and_a_dropped_one_is_free_again() {
        let slots = Slots::new(2);
        let (first, second) = (slots.take(), slots.take());
        assert!(first.is_some() && second.is_some() && slots.take().is_none());
        drop(first);
        assert!(slots.take().is_some());
    }
}
