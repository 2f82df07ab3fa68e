//! One worker's idle regions, and the lease on a region in use.

use std::{collections::BTreeMap, io, mem::ManuallyDrop, sync::Arc};

use parking_lot::Mutex;

use crate::{
    image::Image,
    metrics::{Events, Usage},
    region::Region,
    reset::{AT_ONCE, Begun, Fallback, Outcome, Reset},
    slots::{Contents, Key, Shared},
};

/// The upper part of a stack that stays resident when it is returned, in bytes: the whole of one of the usual size,
/// half a megabyte for a guest and half of that for the host.
const STACK_KEPT_BYTES: usize = 768 << 10;

/// One worker's free lists. On cache lines of its own, so that workers do not slow each other down.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Shard {
    state: Mutex<State>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct State {
    lists: BTreeMap<Key, FreeList>,
    warm: usize,
    warm_resident_bytes: usize,
    events: Events,
}

/// Idle regions of one size, last in first out.
#[derive(Debug, Default)]
struct FreeList {
    slots: Vec<Slot>,
    /// The fewest there were since the last trim: so many were not needed.
    low_water: usize,
}

/// A region and what is known about its resident pages.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) region: Region,
    /// Clean pages kept in the part that stays accessible.
    kept_bytes: usize,
    /// Clean pages kept, at most, in the part that an earlier instance grew into.
    tail_kept_bytes: usize,
    /// The end of that part.
    tail_end: usize,
    /// The bytes that it begins with; zeros without one.
    image: Option<Arc<Image>>,
}

/// A region in use. Dropping it resets the region and returns it to the shard it came from.
#[derive(Debug)]
pub(crate) struct Lease {
    slot: ManuallyDrop<Slot>,
    key: Key,
    home: Arc<Shard>,
}

impl Lease {
    pub(crate) fn new(slot: Slot, key: Key, home: Arc<Shard>) -> Self {
        Self {
            slot: ManuallyDrop::new(slot),
            key,
            home,
        }
    }

    pub(crate) fn region(&self) -> &Region {
        &self.slot.region
    }

    pub(crate) fn region_mut(&mut self) -> &mut Region {
        &mut self.slot.region
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // SAFETY: the slot is initialised from `new` on and taken only here; nothing touches
        // `self.slot` afterwards.
        let slot = unsafe { ManuallyDrop::take(&mut self.slot) };
        Shard::give_back(&self.home, slot, self.key);
    }
}

impl Shard {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            state: Mutex::default(),
            shared,
        }
    }

    /// Takes the warmest region of this size.
    pub(crate) fn pop(&self, key: Key) -> Option<Slot> {
        let mut state = self.state.lock();
        let slot = state.pop(key)?;
        state.events.reused += 1;
        Some(slot)
    }

    /// Pops for another worker, which counts it; does not wait for this shard's own worker.
    pub(crate) fn try_pop(&self, key: Key) -> Option<Slot> {
        self.state.try_lock()?.pop(key)
    }

    pub(crate) fn count(&self, count: impl FnOnce(&mut Events)) {
        count(&mut self.state.lock().events);
    }

    /// Unmaps one idle region, whatever its size, to make room under the cap.
    pub(crate) fn evict(&self) -> bool {
        let slot = {
            let mut state = self.state.lock();
            let Some(key) = state.any_key() else {
                return false;
            };
            let Some(slot) = state.pop(key) else {
                return false;
            };
            state.events.evicted += 1;
            slot
        };
        self.unmap(slot);
        true
    }

    /// Unmaps what has not been needed since the last call; says how many.
    pub(crate) fn trim(&self) -> usize {
        let idle = self.state.lock().take_idle();
        let count = idle.len();
        for slot in idle {
            self.unmap(slot);
        }
        count
    }

    pub(crate) fn add_to(&self, usage: &mut Usage) {
        let state = self.state.lock();
        usage.warm += state.warm;
        usage.warm_resident_bytes += state.warm_resident_bytes;
        usage.events += state.events;
    }

    /// Takes a region back; what takes longer than a moment is left to another thread.
    fn give_back(this: &Arc<Self>, mut slot: Slot, key: Key) {
        let grown = slot.region.accessible() > key.bytes;
        let mut begun = Begun::default();
        match slot.clean(key, &this.shared.reset, &mut begun, AT_ONCE) {
            Ok(None) => {
                let home = Arc::clone(this);
                this.shared.later.put(move || home.finish(slot, key, begun));
            }
            Ok(Some(outcome)) => this.keep(slot, key, grown, Ok(outcome)),
            Err(error) => this.keep(slot, key, grown, Err(error)),
        }
    }

    /// Goes on to take a region back, to the end.
    pub(crate) fn finish(&self, mut slot: Slot, key: Key, mut begun: Begun) {
        self.count(|events| events.later += 1);
        let grown = slot.region.accessible() > key.bytes;
        let cleaned = slot.clean(key, &self.shared.reset, &mut begun, usize::MAX);
        self.keep(slot, key, grown, cleaned.map(Option::unwrap_or_default));
    }

    /// Keeps a region that was made clean for the next instance, if there are not too many and it was.
    fn keep(&self, slot: Slot, key: Key, grown: bool, cleaned: io::Result<Outcome>) {
        let spare = {
            let mut state = self.state.lock();
            state.events.shrunk += u64::from(grown);
            match cleaned {
                Ok(outcome) => {
                    state.events.record(&outcome);
                    let resident = state.warm_resident_bytes + slot.resident_bytes();
                    if state.warm < self.shared.max_warm_per_worker && resident <= self.shared.max_warm_bytes_per_worker
                    {
                        state.push(key, slot);
                        return;
                    }
                    slot
                }
                Err(_) => {
                    state.events.condemned += 1;
                    slot
                }
            }
        };
        self.unmap(spare);
    }

    fn unmap(&self, slot: Slot) {
        match slot.region.unmap() {
            Ok(()) => {
                self.shared.forget();
                self.count(|events| events.released += 1);
            }
            // It stays counted against the cap: its address space is not free.
            Err(_) => self.count(|events| events.leaked += 1),
        }
    }
}

impl State {
    fn pop(&mut self, key: Key) -> Option<Slot> {
        let list = self.lists.get_mut(&key)?;
        let slot = list.slots.pop()?;
        list.low_water = list.low_water.min(list.slots.len());
        self.warm -= 1;
        self.warm_resident_bytes -= slot.resident_bytes();
        Some(slot)
    }

    fn push(&mut self, key: Key, slot: Slot) {
        self.warm += 1;
        self.warm_resident_bytes += slot.resident_bytes();
        self.lists.entry(key).or_default().slots.push(slot);
    }

    fn any_key(&self) -> Option<Key> {
        self.lists
            .iter()
            .find(|(_, list)| !list.slots.is_empty())
            .map(|(key, _)| *key)
    }

    fn take_idle(&mut self) -> Vec<Slot> {
        let mut idle = Vec::new();
        for list in self.lists.values_mut() {
            idle.extend(list.slots.drain(..list.low_water));
            list.low_water = list.slots.len();
        }
        self.lists.retain(|_, list| !list.slots.is_empty());
        self.warm -= idle.len();
        self.warm_resident_bytes -= idle.iter().map(Slot::resident_bytes).sum::<usize>();
        idle
    }
}

impl Slot {
    /// A slot of a new region, which begins with an image.
    ///
    /// # Errors
    /// The kernel's, or that the image does not fit.
    pub(crate) fn of_image(mut region: Region, image: Arc<Image>) -> io::Result<Self> {
        let (file, offset) = image.place();
        region.map(file, offset, image.bytes())?;
        Ok(Self {
            image: Some(image),
            ..Self::from(region)
        })
    }

    fn resident_bytes(&self) -> usize {
        self.kept_bytes + self.tail_kept_bytes
    }

    /// Puts the first contents back, if the next holder may expect that, and takes back what it grew. `None` if there
    /// is more to do than `at_once`; what was done is in `begun`.
    fn clean(&mut self, key: Key, reset: &Reset, begun: &mut Begun, at_once: usize) -> io::Result<Option<Outcome>> {
        if key.contents == Contents::Any {
            // Who asks for more than most pays with a call: what is seldom used is not kept by idle stacks.
            if let Some(seldom @ 1..) = key.bytes.checked_sub(STACK_KEPT_BYTES) {
                self.region.decommit(0..seldom)?;
            }
            return Ok(Some(Outcome::default()));
        }
        let grown_to = self.region.accessible();
        if !reset.go_on(
            &mut self.region,
            key.bytes,
            self.image.as_deref(),
            begun,
            at_once,
        )? {
            return Ok(None);
        }
        let outcome = std::mem::take(begun).done();
        self.kept_bytes = outcome.kept_below;
        if grown_to > key.bytes {
            self.region.set_accessible(key.bytes)?;
            self.account_tail(grown_to, outcome.kept_above);
            if self.tail_kept_bytes > reset.keep_resident_bytes() {
                self.region.decommit(key.bytes..self.tail_end)?;
                self.tail_kept_bytes = 0;
                self.tail_end = 0;
            }
        }
        Ok(Some(outcome))
    }

    /// A reset that reached as far as any before it has seen all that is kept there; a shorter one
    /// adds to what lies beyond.
    fn account_tail(&mut self, grown_to: usize, kept_bytes: usize) {
        if grown_to >= self.tail_end {
            self.tail_end = grown_to;
            self.tail_kept_bytes = kept_bytes;
        } else {
            self.tail_kept_bytes += kept_bytes;
        }
    }
}

impl From<Region> for Slot {
    fn from(region: Region) -> Self {
        Self {
            region,
            kept_bytes: 0,
            tail_kept_bytes: 0,
            tail_end: 0,
            image: None,
        }
    }
}

impl Events {
    fn record(&mut self, outcome: &Outcome) {
        self.resets += 1;
        self.pages_zeroed += outcome.pages_zeroed;
        self.over_budget += u64::from(outcome.over_budget);
        self.unneeded += u64::from(outcome.unneeded);
        match outcome.fallback {
            None => {}
            Some(Fallback::ScanFailed) => self.fallbacks.scan_failed += 1,
            Some(Fallback::NoProgress) => self.fallbacks.no_progress += 1,
            Some(Fallback::OutOfRange) => self.fallbacks.out_of_range += 1,
            Some(Fallback::Forked) => self.fallbacks.forked += 1,
        }
    }
}
