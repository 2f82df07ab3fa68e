//! Permits for work that takes a thread or much memory, limited per caller and in total.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The permits.
#[derive(Debug)]
pub(crate) struct Shares<K> {
    of_one: usize,
    of_each: Mutex<HashMap<K, Arc<Semaphore>>>,
    of_all: Arc<Semaphore>,
}

/// A permit, until it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    _of_one: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl<K: Clone + Eq + Hash> Shares<K> {
    /// At most `of_one` permits per caller and `of_all` in total.
    pub(crate) fn new(of_one: usize, of_all: usize) -> Self {
        Self {
            of_one,
            of_each: Mutex::default(),
            of_all: Arc::new(Semaphore::new(of_all)),
        }
    }

    /// Waits for a permit. `None` is never returned: the semaphores are not closed.
    pub(crate) async fn take(&self, who: &K) -> Option<Share> {
        let own = {
            let mut each = self.of_each.lock();
            let own = each
                .entry(who.clone())
                .or_insert_with(|| Arc::new(Semaphore::new(self.of_one)));
            Arc::clone(own)
        };
        // Whoever waits for one of all has few beside it in that queue, so each one's turn comes.
        Some(Share {
            _of_one: own.acquire_owned().await.ok()?,
            _of_all: Arc::clone(&self.of_all).acquire_owned().await.ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn who_has_all_of_its_places_waits_and_another_does_not() {
        let shares = Shares::new(2, 3);
        let held = [shares.take(&"a").await, shares.take(&"a").await];
        assert!(timeout(Duration::ZERO, shares.take(&"a")).await.is_err());
        let other = shares.take(&"b").await;
        assert!(timeout(Duration::ZERO, shares.take(&"c")).await.is_err());
        drop((held, other));
        assert!(shares.take(&"a").await.is_some());
    }
}
