//! The memory of all instances together: refused before the kernel kills the process, and never all of it to one
//! package.
//!
//! There are two mechanisms. What an instance takes beyond the common minimum is reserved first, from a limit for all
//! and a share of its package. And the size of the process is measured continuously, since not all memory belongs to
//! instances: while it is too large, no new instance starts.

#[cfg(target_os = "linux")]
mod measure;
#[cfg(not(target_os = "linux"))]
#[path = "measure_elsewhere.rs"]
mod measure;
mod spare;

use std::{
    io,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use prometheus::{
    core::{Collector, Desc},
    proto::MetricFamily,
};

use crate::metrics::{Family, description};

use measure::Measure;
pub(crate) use measure::total;
pub(crate) use spare::Spare;
use spare::Spares;

/// The interval of measurements: within it at most about a hundred megabytes can be touched, which is less than the
/// reserve that the limit leaves.
const INTERVAL: Duration = Duration::from_millis(20);

/// The fraction of the limit that one package may reserve.
const SHARE: (usize, usize) = (3, 4);

/// The anonymous memory of this process, in bytes; `None` if it cannot be read.
pub(crate) fn used_now() -> Option<u64> {
    let used = Measure::new().and_then(|mut measure| measure.used());
    used.ok().and_then(|used| u64::try_from(used).ok())
}

/// The memory of all instances.
#[derive(Debug)]
pub(crate) struct MachineMemory {
    limit: usize,
    reserved: AtomicUsize,
    used: AtomicUsize,
    is_short: AtomicBool,
    spares: Spares,
}

impl MachineMemory {
    /// With a limit in bytes for all instances.
    pub(crate) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self {
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            reserved: AtomicUsize::new(0),
            used: AtomicUsize::new(0),
            is_short: AtomicBool::new(false),
            spares: Spares::default(),
        })
    }

    /// Measures the process periodically, until this is dropped.
    ///
    /// # Errors
    /// When there is no thread, or the process cannot be measured.
    pub(crate) fn watch(self: &Arc<Self>) -> io::Result<()> {
        let mut measure = Measure::new()?;
        let weak = Arc::downgrade(self);
        self.note(measure.used()?);
        thread::Builder::new()
            .name("memory".to_owned())
            .spawn(move || watch(&weak, &mut measure))?;
        Ok(())
    }

    /// Bytes that are reserved for instances.
    pub(crate) fn reserved(&self) -> usize {
        self.reserved.load(Ordering::Relaxed)
    }

    /// The anonymous memory of the process, as last measured.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn note(&self, used: usize) {
        self.used.store(used, Ordering::Relaxed);
        let is_short = used > self.limit;
        if is_short {
            self.spares.give_up();
        }
        if self.is_short.load(Ordering::Relaxed) != is_short {
            self.is_short.store(is_short, Ordering::Relaxed);
            let limit = self.limit;
            if is_short {
                tracing::warn!(
                    used,
                    limit,
                    "memory is short: no new instances until there is more (`server.memory`)"
                );
            } else {
                tracing::info!(used, limit, "there is memory for new instances again");
            }
        }
    }
}

fn watch(memory: &Weak<MachineMemory>, measure: &mut Measure) {
    while let Some(memory) = memory.upgrade() {
        match measure.used() {
            Ok(used) => memory.note(used),
            Err(error) => {
                tracing::error!(%error, "the process's memory is no longer measured: `server.memory` bounds instances alone");
                return;
            }
        }
        drop(memory);
        thread::sleep(INTERVAL);
    }
}

/// Exposes it on `/metrics`.
pub(crate) struct MemoryCollector {
    description: Desc,
    memory: Arc<MachineMemory>,
}

impl MemoryCollector {
    /// A collector to register.
    pub(crate) fn new(memory: Arc<MachineMemory>) -> prometheus::Result<Self> {
        let description = description("wasmgate_memory")?;
        Ok(Self {
            description,
            memory,
        })
    }
}

impl Collector for MemoryCollector {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.description]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let help = "Memory of the process that no file can give back, what is reserved for instances of it, and the limit of each";
        let mut family = Family::gauge("wasmgate_memory_bytes", help);
        let memory = &self.memory;
        for (state, bytes) in [
            ("used", memory.used()),
            ("reserved", memory.reserved()),
            ("limit", memory.limit),
        ] {
            family.show(&[("state", state)], bytes as f64);
        }
        family.finish().into_iter().collect()
    }
}

/// The memory of one package.
#[derive(Debug)]
pub(crate) struct PackageMemory {
    all: Arc<MachineMemory>,
    reserved: AtomicUsize,
}

impl PackageMemory {
    /// A package that has reserved nothing.
    pub(crate) fn new(all: Arc<MachineMemory>) -> Self {
        Self {
            all,
            reserved: AtomicUsize::new(0),
        }
    }

    /// Returns whether the process has no memory for another instance.
    pub(crate) fn is_short(&self) -> bool {
        self.all.is_short.load(Ordering::Relaxed)
    }

    /// Registers a holder of idle resources, which are given up when memory or slots run short.
    pub(crate) fn may_give_up(&self, spare: Weak<dyn Spare>) {
        self.all.spares.add(spare);
    }

    /// Gives up the idle resources of all packages, and returns whether there were any.
    pub(crate) fn make_way(&self) -> bool {
        self.all.spares.give_up()
    }

    /// Reserves memory, if neither the package nor all together exceed their limits then.
    pub(crate) fn reserve(&self, bytes: usize) -> bool {
        self.try_reserve(bytes) || (self.make_way() && self.try_reserve(bytes))
    }

    fn try_reserve(&self, bytes: usize) -> bool {
        let (most, of) = SHARE;
        if !add(&self.reserved, bytes, self.all.limit / of * most) {
            return false;
        }
        let is_reserved = add(&self.all.reserved, bytes, self.all.limit);
        if !is_reserved {
            self.reserved.fetch_sub(bytes, Ordering::Relaxed);
        }
        is_reserved
    }

    /// Releases reserved memory.
    pub(crate) fn give_back(&self, bytes: usize) {
        self.reserved.fetch_sub(bytes, Ordering::Relaxed);
        self.all.reserved.fetch_sub(bytes, Ordering::Relaxed);
    }
}

fn add(to: &AtomicUsize, bytes: usize, limit: usize) -> bool {
    let fits = |now: usize| now.checked_add(bytes).filter(|sum| *sum <= limit);
    to.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_leaves_a_quarter_to_the_others_and_all_have_no_more_than_there_is() {
        let all = MachineMemory::new(400);
        let (greedy, other) = (
            PackageMemory::new(Arc::clone(&all)),
            PackageMemory::new(Arc::clone(&all)),
        );
        assert!(greedy.reserve(300) && !greedy.reserve(1));
        assert!(other.reserve(100) && !other.reserve(1));
        greedy.give_back(300);
        assert!(other.reserve(200));
        assert_eq!(all.reserved(), 300);
    }

    #[test]
    fn memory_is_short_while_the_process_is_larger_than_it_may_be() {
        let all = MachineMemory::new(400);
        let package = PackageMemory::new(Arc::clone(&all));
        all.note(401);
        assert!(package.is_short());
        all.note(400);
        assert!(!package.is_short());
    }

    #[derive(Debug)]
    struct Kept(PackageMemory);

    impl Spare for Kept {
        fn give_up(&self) -> bool {
            let kept = self.0.reserved.load(Ordering::Relaxed);
            self.0.give_back(kept);
            kept > 0
        }
    }

    #[test]
    fn what_is_kept_for_later_goes_when_it_is_needed_now() {
        let all = MachineMemory::new(400);
        let (busy, idle) = (
            PackageMemory::new(Arc::clone(&all)),
            Arc::new(Kept(PackageMemory::new(Arc::clone(&all)))),
        );
        assert!(idle.0.reserve(300) && !busy.reserve(200));
        let weak: Weak<Kept> = Arc::downgrade(&idle);
        busy.may_give_up(weak);
        assert!(busy.reserve(200));
        assert_eq!(all.reserved(), 200);
        assert!(idle.0.reserve(100));
        all.note(401);
        assert_eq!(all.reserved(), 200, "also when the process is too large");
        drop(idle);
        assert!(!busy.reserve(300));
    }

    #[test]
    fn the_process_is_measured() {
        let all = MachineMemory::new(u64::MAX);
        all.watch().unwrap();
        assert!(all.used() > 0);
    }
}
