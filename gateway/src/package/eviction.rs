//! The loaded packages: the ones in use stay, the others make room.
//!
//! A loaded component costs heap, about three mappings and a descriptor, of which a process has a limited number, so
//! no more than a budget's worth is loaded. Beyond it the package that was not used for longest goes, found by the
//! clock algorithm: a request only sets a flag, and nothing is sorted.

use std::{collections::VecDeque, fs, sync::Arc};

use parking_lot::Mutex;
use prometheus::IntCounter;

use super::Package;

/// Mappings of one loaded component: code, read-only data, and data that is relocated.
const MAPPINGS_PER_PACKAGE: u64 = 3;

/// The kernel's default limit on mappings of one process, for machines that do not tell.
const DEFAULT_MAX_MAPPINGS: u64 = 65_530;

/// The part of the limit on mappings that loaded components may have, in tenths; the rest is for instances' memories
/// and stacks and for the allocator.
const MAPPINGS_TENTHS: u64 = 3;

/// The most that may be loaded at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget {
    /// Packages.
    pub packages: usize,
    /// Bytes of compiled code.
    pub code_bytes: usize,
}

impl Budget {
    /// The most that this machine's limits allow: three tenths of the mappings and half of the descriptors.
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
    budget: Budget,
    evictions: IntCounter,
    clock: Mutex<Clock>,
}

#[derive(Default)]
struct Clock {
    packages: VecDeque<(Arc<Package>, usize)>,
    bytes: usize,
}

impl LoadedPackages {
    /// Nothing is loaded yet; `evictions` counts what is unloaded to make room.
    pub(crate) fn new(budget: Budget, evictions: IntCounter) -> Self {
        Self {
            budget,
            evictions,
            clock: Mutex::new(Clock::default()),
        }
    }

    /// Takes a package that has just been loaded in, and unloads others if there are too many.
    pub(crate) fn admit(&self, package: Arc<Package>, bytes: usize) {
        let mut clock = self.clock.lock();
        clock.bytes = clock.bytes.saturating_add(bytes);
        clock.packages.push_back((package, bytes));
        // The one that has just come is not weighed, so that a package larger than the budget is served too.
        let mut turns = clock.packages.len() * 2;
        while turns > 0 && clock.packages.len() > 1 && self.is_over(&clock) {
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

    fn is_over(&self, clock: &Clock) -> bool {
        clock.packages.len() > self.budget.packages || clock.bytes > self.budget.code_bytes
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
