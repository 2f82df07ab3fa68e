//! Limits on open files of guests: per instance, and for all a part of the process' descriptors.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicUsize, Ordering},
};

use rustix::process::{Resource, getrlimit};

/// Files of one instance at once: more than a guest that answers a request needs.
const OF_ONE_INSTANCE: usize = 256;

/// The part of the process' descriptors that files of guests may take.
const PART_OF_DESCRIPTORS: u64 = 8;

/// Files that instances have open, or had at once.
static OPEN: AtomicUsize = AtomicUsize::new(0);

/// Files of all instances at once.
fn most() -> usize {
    static MOST: OnceLock<usize> = OnceLock::new();
    *MOST.get_or_init(|| {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        usize::try_from(limit / PART_OF_DESCRIPTORS).unwrap_or(usize::MAX)
    })
}

/// The places of one instance among all files that are open: as many as it had at once, until it is gone.
#[derive(Debug, Default)]
pub(super) struct OpenFiles(usize);

impl OpenFiles {
    /// Takes a place for one more file beside so many; false if there is none.
    pub(super) fn take(&mut self, open: usize) -> bool {
        if open < self.0 {
            return true;
        }
        if open >= OF_ONE_INSTANCE {
            return false;
        }
        if OPEN.fetch_add(1, Ordering::Relaxed) >= most() {
            OPEN.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        self.0 += 1;
        true
    }
}

impl Drop for OpenFiles {
    fn drop(&mut self) {
        if self.0 > 0 {
            OPEN.fetch_sub(self.0, Ordering::Relaxed);
        }
    }
}

/// A place for a file that the host has open for a guest, until it is dropped.
#[derive(Debug)]
pub(crate) struct FilePlace(Arc<AtomicUsize>);

impl Drop for FilePlace {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}

impl FilePlace {
    /// Takes a place beside the instance's `own`; `None` if it, or all instances, have too many.
    pub(super) fn take(own: &Arc<AtomicUsize>) -> Option<Self> {
        if own.load(Ordering::Relaxed) >= OF_ONE_INSTANCE {
            return None;
        }
        own.fetch_add(1, Ordering::Relaxed);
        let place = Self(Arc::clone(own));
        // Gives back both when it is dropped.
        (OPEN.fetch_add(1, Ordering::Relaxed) < most()).then_some(place)
    }
}
