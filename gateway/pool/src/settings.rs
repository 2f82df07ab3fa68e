//! Settings of a pool, with defaults and their reasons.

use rustix::param::page_size;

use crate::{error::Error, selftest::ResetMethod};

/// Address space of one memory, in bytes: 4 GiB, so that a 32-bit index can never leave the slot and
/// compiled code needs no bounds checks.
pub const DEFAULT_RESERVATION_BYTES: usize = 4 << 30;

/// Guard before and after each memory, in bytes: 32 MiB, wasmtime's own default; constant offsets
/// below it need no bounds checks either.
pub const DEFAULT_GUARD_BYTES: usize = 32 << 20;

/// Bytes of one returned memory that are zeroed in place, or overwritten with its image: 16 MiB, more than the requests
/// of interpreters write to. Zeroing a page costs some tens of nanoseconds, giving it back and faulting it in again ten
/// times that and an interrupt to every core. A page kept for nothing is zeroed at every return, so when most are,
/// everything goes back.
pub const DEFAULT_KEEP_RESIDENT_BYTES: usize = 16 << 20;

/// Bytes that the warm memories of one worker keep resident, and its warm stacks: 256 MiB. What would be more is
/// unmapped.
pub const DEFAULT_MAX_WARM_BYTES_PER_WORKER: usize = 256 << 20;

/// Memories at once, in use or warm: 10,000, which is 40 TiB of the 128 TiB a process can address.
pub const DEFAULT_MAX_MEMORIES: usize = 10_000;

/// Stacks at once, in use or warm: one for each memory of the default.
pub const DEFAULT_MAX_STACKS: usize = 10_000;

/// Warm memories and warm stacks kept by one worker: 1,024 of each, the burst one core can be asked
/// to serve again at once. What is idle for longer goes with [`Pool::trim`](crate::Pool::trim).
pub const DEFAULT_MAX_WARM_PER_WORKER: usize = 1024;

/// Guard below each stack, in bytes: 64 KiB, so that a host function's frame without stack probes
/// cannot step over it.
pub const STACK_GUARD_BYTES: usize = 64 << 10;

/// Limits of a pool. `Settings::default()` suits a server for 32-bit components.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Address space of one memory, in bytes; a memory never grows beyond it. A multiple of 64 KiB.
    /// Below 4 GiB compiled code checks bounds.
    pub reservation_bytes: usize,
    /// Guard before and after each memory, in bytes; a multiple of 64 KiB, at least 64 KiB.
    pub guard_bytes: usize,
    /// Bytes of one returned memory that are zeroed in place; the rest goes back to the kernel. Also
    /// bounds what each warm memory keeps resident.
    pub keep_resident_bytes: usize,
    /// Memories at once, in use or warm. Lowered by [`configure`](crate::configure) to what the
    /// kernel's `vm.max_map_count` allows; [`Metrics`](crate::Metrics) says to what.
    pub max_memories: usize,
    /// Stacks at once, in use or warm. Lowered as `max_memories` is.
    pub max_stacks: usize,
    /// Warm memories, and warm stacks, kept by one worker; one more is unmapped on return.
    pub max_warm_per_worker: usize,
    /// Bytes that the warm memories of one worker keep resident, and its warm stacks; what would be more is unmapped on
    /// return.
    pub max_warm_bytes_per_worker: usize,
    /// The first method to try; those after it are taken if it does not pass the self-test.
    /// [`ResetMethod::Madvise`] trusts nothing but the kernel's own zeroing, at several times the
    /// cost of an instance.
    pub reset_method: ResetMethod,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            reservation_bytes: DEFAULT_RESERVATION_BYTES,
            guard_bytes: DEFAULT_GUARD_BYTES,
            keep_resident_bytes: DEFAULT_KEEP_RESIDENT_BYTES,
            max_memories: DEFAULT_MAX_MEMORIES,
            max_stacks: DEFAULT_MAX_STACKS,
            max_warm_per_worker: DEFAULT_MAX_WARM_PER_WORKER,
            max_warm_bytes_per_worker: DEFAULT_MAX_WARM_BYTES_PER_WORKER,
            reset_method: ResetMethod::PagemapScan,
        }
    }
}

impl Settings {
    /// Checks every field, and lowers the caps to what the kernel's limit on mappings allows.
    pub(crate) fn checked(mut self) -> Result<Self, Error> {
        must_be_aligned("reservation_bytes", self.reservation_bytes)?;
        must_be_aligned("guard_bytes", self.guard_bytes)?;
        must_be_positive("max_memories", self.max_memories)?;
        must_be_positive("max_stacks", self.max_stacks)?;
        if let Some(mappings) = max_mappings() {
            let each = (mappings / MAPPINGS_DIVISOR).max(1);
            self.max_memories = self.max_memories.min(each);
            self.max_stacks = self.max_stacks.min(each);
        }
        Ok(self)
    }
}

/// A memory is up to three mappings (its image, the rest that is accessible, the guard) and a stack is two. A sixth of
/// the limit for each kind lets both be full and leaves a sixth for compiled code, files and the allocator.
const MAPPINGS_DIVISOR: usize = 6;

/// WebAssembly's page size, a multiple of every host's: sizes that are multiples of it can be
/// protected and compared without rounding.
pub(crate) const WASM_PAGE_BYTES: usize = 64 << 10;

fn must_be_aligned(name: &'static str, value: usize) -> Result<(), Error> {
    let unit = WASM_PAGE_BYTES.max(page_size());
    if value == 0 || !value.is_multiple_of(unit) {
        return Err(Error::Setting {
            name,
            value,
            rule: "a positive multiple of 65536 bytes",
        });
    }
    Ok(())
}

fn must_be_positive(name: &'static str, value: usize) -> Result<(), Error> {
    if value == 0 {
        return Err(Error::Setting {
            name,
            value,
            rule: "at least 1",
        });
    }
    Ok(())
}

/// The kernel's limit on mappings of one process, if it says.
fn max_mappings() -> Option<usize> {
    std::fs::read_to_string("/proc/sys/vm/max_map_count")
        .ok()?
        .trim()
        .parse()
        .ok()
}
