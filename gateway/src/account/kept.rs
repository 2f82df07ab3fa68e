//! Bytes that the host holds for one instance outside of its linear memory: body parts that were written and not sent,
//! and responses that were not read.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use bytes::Bytes;

/// The buffered bytes of one instance: together with its memory they stay below its limit. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Kept(Arc<Counted>);

#[derive(Debug)]
struct Counted {
    bytes: AtomicUsize,
    others: AtomicUsize,
    limit: usize,
    is_exceeded: AtomicBool,
}

/// The limit is exceeded.
#[derive(Debug, thiserror::Error)]
#[error(
    "the host would keep {bytes} bytes of its bodies, beside {others} of memory and resources; `limits.memory` is {limit}"
)]
pub(crate) struct Exceeded {
    bytes: usize,
    others: usize,
    limit: usize,
}

impl Kept {
    /// An empty count, with the instance's limit.
    pub(crate) fn new(limit: usize) -> Self {
        Self(Arc::new(Counted {
            bytes: AtomicUsize::new(0),
            others: AtomicUsize::new(0),
            limit,
            is_exceeded: AtomicBool::new(false),
        }))
    }

    /// The number of buffered bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// Sets what else the instance uses.
    pub(crate) fn set_others(&self, bytes: usize) {
        self.0.others.store(bytes, Ordering::Relaxed);
    }

    /// Returns whether a charge was refused.
    pub(crate) fn is_exceeded(&self) -> bool {
        self.0.is_exceeded.load(Ordering::Relaxed)
    }

    /// Counts bytes until the charge is dropped.
    pub(crate) fn charge(&self, bytes: usize) -> Result<Charge, Exceeded> {
        let of = &*self.0;
        let kept = of
            .bytes
            .fetch_add(bytes, Ordering::Relaxed)
            .saturating_add(bytes);
        // Releases the bytes if it is dropped below.
        let charge = Charge {
            bytes,
            of: Arc::clone(&self.0),
        };
        let others = of.others.load(Ordering::Relaxed);
        if kept.saturating_add(others) <= of.limit {
            return Ok(charge);
        }
        of.is_exceeded.store(true, Ordering::Relaxed);
        Err(Exceeded {
            bytes: kept,
            others,
            limit: of.limit,
        })
    }

    /// The same bytes, counted until the last reference is dropped.
    pub(crate) fn keep(&self, bytes: Bytes) -> Result<Bytes, Exceeded> {
        let charge = self.charge(bytes.len())?;
        Ok(Bytes::from_owner(Counting {
            bytes,
            _charge: charge,
        }))
    }
}

/// Counted bytes; dropping it releases them.
#[derive(Debug)]
pub(crate) struct Charge {
    bytes: usize,
    of: Arc<Counted>,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.of.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

struct Counting {
    bytes: Bytes,
    _charge: Charge,
}

impl AsRef<[u8]> for Counting {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_count_until_the_last_of_them_is_dropped() {
        let kept = Kept::new(100);
        let bytes = kept.keep(Bytes::from_static(&[1; 60])).unwrap();
        let part = bytes.slice(..1);
        drop(bytes);
        assert_eq!(kept.bytes(), 60);
        drop(part);
        assert_eq!(kept.bytes(), 0);
    }

    #[test]
    fn what_the_instance_has_besides_counts_and_what_is_refused_does_not() {
        let kept = Kept::new(100);
        kept.set_others(50);
        assert!(kept.charge(60).is_err() && kept.is_exceeded());
        assert_eq!(kept.bytes(), 0);
        assert!(kept.charge(50).is_ok());
    }
}
