//! The loaded packages, and the eviction of unused ones.
//!
//! A loaded component costs heap, about three mappings and a descriptor, which are limited per process, so there is a
//! budget for each. Beyond it the least recently used packages are unloaded, approximated by the clock algorithm: a
//! request only sets a flag, and nothing is sorted.

use std::{collections::VecDeque, fs, sync::Arc};

use parking_lot::Mutex;
use prometheus::IntCounter;

use super::Package;

/// Mappings of one loaded component: code, read-only data, and data that is relocated.
const MAPPINGS_PER_PACKAGE: u64 = 3;

/// The kernel's default limit on mappings, used if it cannot be read.
const DEFAULT_MAX_MAPPINGS: u64 = 65_530;

/// The fraction of the limit on mappings for loaded components, in tenths; the rest is for memories, stacks and the
/// allocator.
const MAPPINGS_TENTHS: u64 = 3;

/// The limits on loaded packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget {
    /// Packages.
    pub packages: usize,
    /// Bytes of compiled code.
    pub code_bytes: usize,
}

impl Budget {
    /// What this machine's limits allow: three tenths of the mappings and half of the descriptors.
    pub(crate) fn from_system(code_bytes: u64) -> Self {
        let mappings = read_number("/proc/sys/vm/max_map_count").unwrap_or(DEFAULT_MAX_MAPPINGS);
        let by_mappings = mappings * MAPPINGS_TENTHS / 10 / MAPPINGS_PER_PACKAGE;
        let by_descriptors = descriptor_limit() / 2;
        let packages = by_mappings.min(by_descriptors).max(1);
        tracing::info!(
            packages,
            max_map_count = mappings,
            descriptors = descriptor_limit(),
            "how many packages may be loaded at once"
        );
        Self {
            packages: usize::try_from(packages).unwrap_or(usize::MAX),
            code_bytes: usize::try_from(code_bytes).unwrap_or(usize::MAX),
        }
    }
}

/// The loaded packages.
pub(crate) struct LoadedPackages {
    evictions: IntCounter,
    clock: Mutex<Clock>,
}

struct Clock {
    budget: Budget,
    packages: VecDeque<(Arc<Package>, usize)>,
    bytes: usize,
}

impl LoadedPackages {
    /// Without loaded packages; `evictions` counts evicted ones.
    pub(crate) fn new(budget: Budget, evictions: IntCounter) -> Self {
        Self {
            evictions,
            clock: Mutex::new(Clock {
                budget,
                packages: VecDeque::new(),
                bytes: 0,
            }),
        }
    }

    /// Adds a package that has just been loaded, and evicts others if there are too many.
    pub(crate) fn admit(&self, package: Arc<Package>, bytes: usize) {
        let mut clock = self.clock.lock();
        // A late request of a replaced configuration may load it again, only for itself.
        if package.is_retired() {
            package.unload();
            return;
        }
        clock.bytes = clock.bytes.saturating_add(bytes);
        clock.packages.push_back((package, bytes));
        // The new one is never evicted, so that a package larger than the budget is served too.
        let mut turns = clock.packages.len() * 2;
        while turns > 0 && clock.packages.len() > 1 && clock.is_over() {
            turns -= 1;
            let Some((package, bytes)) = clock.packages.pop_front() else {
                break;
            };
            if package.was_used() {
                clock.packages.push_back((package, bytes));
            } else {
                clock.bytes = clock.bytes.saturating_sub(bytes);
                package.unload();
                self.evictions.inc();
            }
        }
    }

    /// The number of loaded packages, and the bytes of their code.
    pub(crate) fn loaded(&self) -> (usize, usize) {
        let clock = self.clock.lock();
        (clock.packages.len(), clock.bytes)
    }

    /// Sets the limit on code, from the next loaded package on.
    pub(crate) fn set_code_bytes(&self, code_bytes: u64) {
        self.clock.lock().budget.code_bytes = usize::try_from(code_bytes).unwrap_or(usize::MAX);
    }

    /// Releases a package that is not served any more: its code is dropped with its last instance.
    pub(crate) fn retire(&self, package: &Arc<Package>) {
        let mut clock = self.clock.lock();
        package.retire();
        clock.remove(package);
    }

    /// Replaces a package by one with the same code, which is loaded if the old one was.
    pub(crate) fn succeed(&self, before: &Arc<Package>, package: &Arc<Package>) {
        let mut clock = self.clock.lock();
        if let Some(bytes) = clock.remove(before)
            && package.take_code(before)
        {
            clock.bytes = clock.bytes.saturating_add(bytes);
            clock.packages.push_back((Arc::clone(package), bytes));
        }
        before.retire();
    }
}

impl Clock {
    fn is_over(&self) -> bool {
        self.packages.len() > self.budget.packages || self.bytes > self.budget.code_bytes
    }

    /// Removes a package, and returns the size of its code.
    fn remove(&mut self, package: &Arc<Package>) -> Option<usize> {
        let at = self
            .packages
            .iter()
            .position(|(known, _)| Arc::ptr_eq(known, package))?;
        let (_, bytes) = self.packages.remove(at)?;
        self.bytes = self.bytes.saturating_sub(bytes);
        Some(bytes)
    }
}

fn read_number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn descriptor_limit() -> u64 {
    rustix::process::getrlimit(rustix::process::Resource::Nofile)
        .current
        .unwrap_or(u64::MAX)
}
