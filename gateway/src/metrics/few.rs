//! A few counters of one metric that differ in one label, found without a lock and without allocating.

use std::sync::OnceLock;

use prometheus::IntCounter;

/// Up to `N` counters by their key; each is looked up once. A key that comes when all places are taken is looked up
/// each time, which is slower and counts as well.
#[derive(Debug)]
pub(super) struct Few<K, const N: usize>([OnceLock<(K, IntCounter)>; N]);

impl<K: Copy + Eq, const N: usize> Few<K, N> {
    pub(super) fn new() -> Self {
        Self([const { OnceLock::new() }; N])
    }

    /// Counts one under `key`; `look_up` finds the counter the first time.
    pub(super) fn count(&self, key: K, look_up: impl Fn() -> IntCounter) {
        for place in &self.0 {
            let (taken, counter) = place.get_or_init(|| (key, look_up()));
            if *taken == key {
                return counter.inc();
            }
        }
        look_up().inc();
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{IntCounterVec, Opts};

    use super::*;

    #[test]
    fn every_key_is_counted_whether_or_not_it_finds_a_place() {
        let vec = IntCounterVec::new(Opts::new("x_total", "x"), &["key"]).unwrap();
        let few = Few::<&str, 2>::new();
        for key in ["a", "b", "c", "a", "c", "c"] {
            few.count(key, || vec.with_label_values(&[key]));
        }
        let counted = ["a", "b", "c"].map(|key| vec.with_label_values(&[key]).get());
        assert_eq!(counted, [2, 1, 3]);
    }
}
