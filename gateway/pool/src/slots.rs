//! Idle regions, sorted by worker and size, and the cap on all of them.
//!
//! Each thread takes from its own shard; a region goes back to the shard it was taken from, on
//! whatever thread that happens. With no more workers than shards a shard's lock is never contended
//! and no cache line is shared. The cap counts regions that exist, so that taking and returning a
//! warm one does not touch it.

use std::{
    io,
    num::NonZeroU64,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::{
    error::{Exhausted, Refusal},
    image::Image,
    later::Later,
    metrics::Usage,
    region::Region,
    reset::Reset,
    settings::Settings,
    shard::{Lease, Shard, Slot},
};

/// All slots of one kind.
#[derive(Debug)]
pub(crate) struct Slots {
    shards: Box<[Arc<Shard>]>,
    shared: Arc<Shared>,
}

/// The state that all shards of one kind share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) kind: Kind,
    pub(crate) reset: Arc<Reset>,
    /// Who makes large regions clean.
    pub(crate) later: Later,
    pub(crate) max_warm_per_worker: usize,
    pub(crate) max_warm_bytes_per_worker: usize,
    limit: usize,
    /// Regions that exist, in use, warm or leaked.
    total: AtomicUsize,
}

/// The use of the slots.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Memory {
        reservation_bytes: usize,
        guard_bytes: usize,
    },
    Stack {
        guard_bytes: usize,
    },
}

/// The properties by which two idle regions are interchangeable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// Accessible bytes, a multiple of the page size.
    pub(crate) bytes: usize,
    pub(crate) contents: Contents,
}

/// The bytes that a new holder finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Contents {
    /// Whatever the last one left.
    Any,
    Zeros,
    /// Those of the image of this name, then zeros.
    Image(NonZeroU64),
}

/// Shards for each core: threads are numbered as they come, and a few that are not workers must not
/// push two workers into one shard.
const SHARDS_PER_CORE: usize = 4;

impl Slots {
    pub(crate) fn new(kind: Kind, reset: Arc<Reset>, limit: usize, settings: &Settings) -> Self {
        let shared = Arc::new(Shared {
            kind,
            reset,
            later: Later::default(),
            max_warm_per_worker: settings.max_warm_per_worker,
            max_warm_bytes_per_worker: settings.max_warm_bytes_per_worker,
            limit,
            total: AtomicUsize::new(0),
        });
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let shards = (0..cores * SHARDS_PER_CORE)
            .map(|_| Arc::new(Shard::new(shared.clone())))
            .collect();
        Self { shards, shared }
    }

    /// A region of `bytes` that begins with an image: warm from this worker, warm from another, or new.
    pub(crate) fn take_image(&self, bytes: usize, image: &Arc<Image>) -> Result<Lease, Refusal> {
        let contents = Contents::Image(image.id());
        self.take_or(Key { bytes, contents }, |slots, key| {
            Slot::of_image(slots.create(key)?, Arc::clone(image))
        })
    }

    /// A region of this size without an image: warm from this worker, warm from another, or new.
    pub(crate) fn take(&self, key: Key) -> Result<Lease, Refusal> {
        self.take_or(key, |slots, key| Ok(slots.create(key)?.into()))
    }

    fn take_or(&self, key: Key, create: impl Fn(&Shared, Key) -> io::Result<Slot>) -> Result<Lease, Refusal> {
        let mut others = self.order();
        let Some(home) = others.next() else {
            return Err(self.shared.exhausted());
        };
        if let Some(slot) = home.pop(key) {
            return Ok(Lease::new(slot, key, home.clone()));
        }
        if let Some(slot) = others.find_map(|shard| shard.try_pop(key)) {
            home.count(|events| {
                events.reused += 1;
                events.stolen += 1;
            });
            return Ok(Lease::new(slot, key, home.clone()));
        }
        let evict = || {
            std::iter::once(home)
                .chain(others.clone())
                .any(|shard| shard.evict())
        };
        while !self.shared.admit() {
            if !evict() {
                return Err(self.shared.exhausted());
            }
        }
        let slot = loop {
            match create(&self.shared, key) {
                Ok(slot) => break slot,
                // The kernel may have room for it in the place of one of another size, which is idle.
                Err(_) if evict() => {}
                Err(error) => {
                    self.shared.forget();
                    return Err(error.into());
                }
            }
        };
        home.count(|events| events.created += 1);
        Ok(Lease::new(slot, key, home.clone()))
    }

    /// Unmaps what has been idle since the last call; says how many.
    pub(crate) fn trim(&self) -> usize {
        self.shards.iter().map(|shard| shard.trim()).sum()
    }

    pub(crate) fn usage(&self) -> Usage {
        let mut usage = Usage {
            limit: self.shared.limit,
            ..Usage::default()
        };
        for shard in &self.shards {
            shard.add_to(&mut usage);
        }
        let total = self.shared.total.load(Ordering::Relaxed);
        let leaked = usize::try_from(usage.events.leaked).unwrap_or(usize::MAX);
        usage.live = total.saturating_sub(usage.warm).saturating_sub(leaked);
        usage
    }

    /// This thread's shard, then the others starting with its neighbour.
    fn order(&self) -> impl Iterator<Item = &Arc<Shard>> + Clone {
        let (before, from) = self.shards.split_at(worker() % self.shards.len());
        from.iter().chain(before)
    }
}

impl Shared {
    /// Counts one region more, if the cap allows it.
    fn admit(&self) -> bool {
        let more = |total| (total < self.limit).then_some(total + 1);
        self.total
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .is_ok()
    }

    /// Counts one region less.
    pub(crate) fn forget(&self) {
        self.total.fetch_sub(1, Ordering::Relaxed);
    }

    fn create(&self, key: Key) -> io::Result<Region> {
        let mut region = match self.kind {
            Kind::Memory {
                reservation_bytes,
                guard_bytes,
            } => Region::reserve(guard_bytes, reservation_bytes, guard_bytes),
            Kind::Stack { guard_bytes } => Region::reserve(guard_bytes, key.bytes, 0),
        }?;
        region.set_accessible(key.bytes)?;
        Ok(region)
    }

    fn exhausted(&self) -> Refusal {
        let what = match self.kind {
            Kind::Memory { .. } => Exhausted::Memories,
            Kind::Stack { .. } => Exhausted::Stacks,
        };
        Refusal::Exhausted {
            what,
            limit: self.limit,
        }
    }
}

/// This thread's number, given out in the order in which threads first ask.
fn worker() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static WORKER: usize = NEXT.fetch_add(1, Ordering::Relaxed));
    // A thread that is ending has no number of its own any more; any shard will do.
    WORKER.try_with(|worker| *worker).unwrap_or(0)
}
