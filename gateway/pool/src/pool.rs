//! The pool: a handle for the engine, metrics and trimming.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use wasmtime::{Config, InstanceAllocationStrategy};

use crate::{
    error::{Error, Exhausted, Refusal},
    metrics::{Metrics, Refusals},
    selftest::{self, Choice, ResetMethod},
    settings::{STACK_GUARD_BYTES, Settings},
    slots::{Kind, Slots},
};

/// A pool of linear memories and fiber stacks. Clones are handles to the same pool.
///
/// Memory goes back to the kernel when the last handle, the last engine and the last store are gone.
#[derive(Clone)]
pub struct Pool {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
    method: ResetMethod,
    method_reason: Option<String>,
    memories: Slots,
    stacks: Slots,
    refusals: RefusalCounters,
}

#[derive(Default)]
struct RefusalCounters {
    memories_exhausted: AtomicU64,
    stacks_exhausted: AtomicU64,
    too_large: AtomicU64,
    shared: AtomicU64,
    mismatch: AtomicU64,
    kernel: AtomicU64,
}

impl Pool {
    /// Checks the settings, tests how memory can be reset on this system and makes an empty pool.
    ///
    /// # Errors
    /// [`Error::Setting`] for a value that cannot work, [`Error::SelfTest`] if not even plain
    /// `madvise` gives zeroed pages.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let settings = settings.checked()?;
        let choice = selftest::choose(settings.reset_method, settings.keep_resident_bytes)?;
        Ok(Self::with_choice(settings, choice))
    }

    pub(crate) fn with_choice(settings: Settings, choice: Choice) -> Self {
        let reset = Arc::new(choice.reset);
        let memory = Kind::Memory {
            reservation_bytes: settings.reservation_bytes,
            guard_bytes: settings.guard_bytes,
        };
        let stack = Kind::Stack {
            guard_bytes: STACK_GUARD_BYTES,
        };
        let memories = Slots::new(memory, reset.clone(), settings.max_memories, &settings);
        let stacks = Slots::new(stack, reset, settings.max_stacks, &settings);
        let inner = Inner {
            settings,
            method: choice.method,
            method_reason: choice.reason,
            memories,
            stacks,
            refusals: RefusalCounters::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Sets up `config` so that its engine takes every memory and stack from this pool. Several
    /// engines may share one pool. See [`configure`](crate::configure) for what is set.
    pub fn attach(&self, config: &mut Config) {
        let reservation = self.inner.settings.reservation_bytes as u64;
        let guard = self.inner.settings.guard_bytes as u64;
        config
            .allocation_strategy(InstanceAllocationStrategy::OnDemand)
            // An image of the initial data can only be mapped over memory that wasmtime made itself.
            .memory_init_cow(false)
            .memory_reservation(reservation)
            .memory_guard_size(guard)
            .memory_reservation_for_growth(0)
            .memory_may_move(false)
            // Heaps of garbage-collected types come from the same slots.
            .gc_heap_reservation(reservation)
            .gc_heap_guard_size(guard)
            .gc_heap_reservation_for_growth(0)
            .gc_heap_may_move(false)
            .with_host_memory(Arc::new(self.clone()))
            .with_host_stack(Arc::new(self.clone()));
    }

    /// A snapshot of the slots in use and idle, and of the counters. Takes each worker's lock for a
    /// moment; meant for a scrape, not for every request.
    pub fn metrics(&self) -> Metrics {
        Metrics {
            reset_method: self.inner.method,
            reset_method_reason: self.inner.method_reason.clone(),
            memories: self.inner.memories.usage(),
            stacks: self.inner.stacks.usage(),
            refusals: self.inner.refusals.snapshot(),
        }
    }

    /// Unmaps the memories and stacks that nobody needed since the last call, and says how many.
    /// Call it now and then, say every ten seconds, from any thread.
    pub fn trim(&self) -> usize {
        self.inner.memories.trim() + self.inner.stacks.trim()
    }

    /// The settings in force, after the caps were lowered to what the kernel allows.
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    pub(crate) fn memories(&self) -> &Slots {
        &self.inner.memories
    }

    pub(crate) fn stacks(&self) -> &Slots {
        &self.inner.stacks
    }

    /// Counts a refusal on its way out.
    pub(crate) fn refused(&self, refusal: Refusal) -> Refusal {
        let counters = &self.inner.refusals;
        let counter = match &refusal {
            Refusal::Exhausted {
                what: Exhausted::Memories,
                ..
            } => &counters.memories_exhausted,
            Refusal::Exhausted {
                what: Exhausted::Stacks,
                ..
            } => &counters.stacks_exhausted,
            Refusal::TooLarge { .. } => &counters.too_large,
            Refusal::Shared => &counters.shared,
            Refusal::Mismatch { .. } => &counters.mismatch,
            Refusal::Kernel(_) => &counters.kernel,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        refusal
    }
}

impl RefusalCounters {
    fn snapshot(&self) -> Refusals {
        Refusals {
            memories_exhausted: self.memories_exhausted.load(Ordering::Relaxed),
            stacks_exhausted: self.stacks_exhausted.load(Ordering::Relaxed),
            too_large: self.too_large.load(Ordering::Relaxed),
            shared: self.shared.load(Ordering::Relaxed),
            mismatch: self.mismatch.load(Ordering::Relaxed),
            kernel: self.kernel.load(Ordering::Relaxed),
        }
    }
}
