//! Metrics of a pool.

use std::ops::AddAssign;

use crate::selftest::ResetMethod;

/// A snapshot of a pool. Counters only rise; they are summed over workers that go on working, so two of them
/// may be a few events apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metrics {
    /// The method by which returned memories are made clean.
    pub reset_method: ResetMethod,
    /// The reason why no better method is in use; `None` for the best.
    pub reset_method_reason: Option<String>,
    /// Linear memories and GC heaps.
    pub memories: Usage,
    /// Fiber stacks.
    pub stacks: Usage,
    /// Requests that were turned down.
    pub refusals: Refusals,
}

/// Slots of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// The cap in force on `live + warm`.
    pub limit: usize,
    /// In use by an instance now.
    pub live: usize,
    /// Clean and idle now.
    pub warm: usize,
    /// Bytes idle slots keep resident now, at most.
    pub warm_resident_bytes: usize,
    /// Counters since the pool was made.
    pub events: Events,
}

/// Counters of one kind of slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Events {
    /// Taken warm with the right size: no system call.
    pub reused: u64,
    /// Of those, taken from another worker's idle slots.
    pub stolen: u64,
    /// Idle slots of another size unmapped because the cap was reached.
    pub evicted: u64,
    /// Mapped anew: three system calls.
    pub created: u64,
    /// Unmapped by a trim or because a worker had enough.
    pub released: u64,
    /// Unmapped because they could not be made clean.
    pub condemned: u64,
    /// Could not even be unmapped: address space lost until the process ends.
    pub leaked: u64,
    /// Returned after growing: protected back, a system call.
    pub shrunk: u64,
    /// Returned and made clean.
    pub resets: u64,
    /// Of those, large ones: made clean by a thread of their own.
    pub later: u64,
    /// Pages zeroed, or overwritten with their image, in place.
    pub pages_zeroed: u64,
    /// Returns whose pages beyond the budget went back to the kernel: a system call and page faults.
    pub over_budget: u64,
    /// Returns after which everything went back to the kernel, since most of what was kept had not been written to.
    pub unneeded: u64,
    /// Returns that could not use the chosen method and gave everything left back to the kernel.
    pub fallbacks: Fallbacks,
}

/// Returns that fell back to the kernel's `madvise`, by cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fallbacks {
    /// The scan or the read failed.
    pub scan_failed: u64,
    /// The scan got no further.
    pub no_progress: u64,
    /// The scan reported pages outside the memory, or out of order.
    pub out_of_range: u64,
    /// This process is a fork of the one that made the pool.
    pub forked: u64,
}

/// Requests turned down, by cause; see [`Refusal`](crate::Refusal).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refusals {
    /// Every memory was in use.
    pub memories_exhausted: u64,
    /// Every stack was in use.
    pub stacks_exhausted: u64,
    /// Larger than a slot.
    pub too_large: u64,
    /// Shared memories.
    pub shared: u64,
    /// The engine was not set up for this pool.
    pub mismatch: u64,
    /// The kernel refused.
    pub kernel: u64,
}

impl Fallbacks {
    /// All causes together.
    pub fn total(&self) -> u64 {
        self.scan_failed + self.no_progress + self.out_of_range + self.forked
    }
}

impl AddAssign for Events {
    fn add_assign(&mut self, other: Self) {
        self.reused += other.reused;
        self.stolen += other.stolen;
        self.evicted += other.evicted;
        self.created += other.created;
        self.released += other.released;
        self.condemned += other.condemned;
        self.leaked += other.leaked;
        self.shrunk += other.shrunk;
        self.resets += other.resets;
        self.later += other.later;
        self.pages_zeroed += other.pages_zeroed;
        self.over_budget += other.over_budget;
        self.unneeded += other.unneeded;
        self.fallbacks.scan_failed += other.fallbacks.scan_failed;
        self.fallbacks.no_progress += other.fallbacks.no_progress;
        self.fallbacks.out_of_range += other.fallbacks.out_of_range;
        self.fallbacks.forked += other.fallbacks.forked;
    }
}
