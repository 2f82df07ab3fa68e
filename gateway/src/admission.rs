//! Permits: how many instances of one package may live at once, how many requests may be under way to outside, and what
//! is refused when they are.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// A count of permits that does not exceed its limit. Cloning shares it.
///
/// A counter rather than a semaphore: nobody waits here, since a queue in front of something full only turns an honest
/// refusal into a late one.
#[derive(Debug, Clone)]
pub(crate) struct Permits(Arc<Counted>);

#[derive(Debug)]
struct Counted {
    taken: AtomicUsize,
    limit: AtomicUsize,
}

impl Permits {
    /// Up to `limit` permits at once.
    pub(crate) fn new(limit: usize) -> Self {
        Self(Arc::new(Counted {
            taken: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
        }))
    }

    /// Takes a permit, or `None` when all are taken.
    pub(crate) fn take(&self) -> Option<Permit> {
        let Counted { taken, limit } = &*self.0;
        let limit = limit.load(Ordering::Relaxed);
        let free = |now: usize| (now < limit).then_some(now + 1);
        taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, free)
            .ok()?;
        Some(Permit(self.clone()))
    }

    /// The number of those that are taken.
    pub(crate) fn taken(&self) -> usize {
        self.0.taken.load(Ordering::Relaxed)
    }

    /// The number of permits.
    pub(crate) fn limit(&self) -> usize {
        self.0.limit.load(Ordering::Relaxed)
    }

    /// Allows so many from now on; those that are taken stay.
    pub(crate) fn set_limit(&self, limit: usize) {
        self.0.limit.store(limit, Ordering::Relaxed);
    }
}

/// The right to run one instance or to have one request under way; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Permit(Permits);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_permits_as_said_and_a_dropped_one_is_free_again() {
        let permits = Permits::new(2);
        let (first, second) = (permits.take(), permits.take());
        assert!(first.is_some() && second.is_some() && permits.take().is_none());
        assert_eq!(permits.taken(), 2);
        drop(first);
        assert_eq!(permits.taken(), 1);
        assert!(permits.take().is_some());
    }
}
