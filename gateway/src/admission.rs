//! Permits: how many instances of one package may live at once, and what is refused when they do.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// The slots of one package.
///
/// A counter rather than a semaphore: nobody waits here, since a queue in front of a full package only turns an
/// honest 503 into a late one.
#[derive(Debug)]
pub struct Admission {
    taken: AtomicUsize,
    limit: usize,
}

impl Admission {
    /// Admits up to `limit` instances at once.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            taken: AtomicUsize::new(0),
            limit,
        })
    }

    /// A permit for one instance, or `None` when all are taken.
    pub fn enter(self: &Arc<Self>) -> Option<Permit> {
        if self.taken.fetch_add(1, Ordering::Relaxed) >= self.limit {
            self.taken.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Permit {
            admission: Arc::clone(self),
        })
    }

    /// Instances alive.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed).min(self.limit)
    }
}

/// The right to run one instance; dropping it frees the slot.
#[derive(Debug)]
pub struct Permit {
    admission: Arc<Admission>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.admission.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_package_refuses_until_a_permit_is_dropped() {
        let admission = Admission::new(1);
        let permit = admission.enter().unwrap();
        assert!(admission.enter().is_none());
        assert_eq!(admission.taken(), 1);
        drop(permit);
        assert_eq!(admission.taken(), 0);
        assert!(admission.enter().is_some());
    }
}
