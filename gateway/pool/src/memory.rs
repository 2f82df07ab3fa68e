//! Linear memories for wasmtime.

use rustix::param::page_size;
use wasmtime::{LinearMemory, MemoryCreator, MemoryType};

use crate::{
    error::Refusal,
    image,
    pool::Pool,
    shard::Lease,
    slots::{Contents, Key},
};

/// A memory in use by one instance.
struct PooledMemory {
    lease: Lease,
    /// The size that the guest sees; the accessible part is this, rounded up to a page of the host.
    bytes: usize,
}

// SAFETY: the contract of `MemoryCreator` is that memories are zero-filled (or begin as the embedder asked for by
// `Images::instantiate`, whose modules have no data of their own for them), owned by the instance alone, reserved and
// guarded as compiled code assumes, and never move. `Pool::memory` refuses whatever does not fit the slots' reservation
// and guard; a lease is exclusive; a region is either new from the kernel or was reset over its whole accessible part,
// and never remapped while leased.
unsafe impl MemoryCreator for Pool {
    fn new_memory(
        &self,
        ty: MemoryType,
        minimum: usize,
        _maximum: Option<usize>,
        reserved_size_in_bytes: Option<usize>,
        guard_size_in_bytes: usize,
    ) -> Result<Box<dyn LinearMemory>, String> {
        self.memory(
            &ty,
            minimum,
            reserved_size_in_bytes.unwrap_or(0),
            guard_size_in_bytes,
        )
        .map(|memory| Box::new(memory) as Box<dyn LinearMemory>)
        .map_err(|refusal| self.refused(refusal).to_string())
    }
}

impl Pool {
    fn memory(
        &self,
        ty: &MemoryType,
        minimum: usize,
        reservation_bytes: usize,
        guard_bytes: usize,
    ) -> Result<PooledMemory, Refusal> {
        let settings = self.settings();
        if ty.is_shared() {
            return Err(Refusal::Shared);
        }
        if reservation_bytes > settings.reservation_bytes || guard_bytes > settings.guard_bytes {
            return Err(Refusal::Mismatch {
                reservation_bytes,
                guard_bytes,
            });
        }
        let accessible = accessible(minimum, settings.reservation_bytes)?;
        let lease = match image::wanted(ty, minimum) {
            Some(image) => self.memories().take_image(accessible, &image),
            None => self.memories().take(Key {
                bytes: accessible,
                contents: Contents::Zeros,
            }),
        }?;
        Ok(PooledMemory {
            lease,
            bytes: minimum,
        })
    }
}

/// `bytes` rounded up to a page of the host, if a slot can hold that.
fn accessible(bytes: usize, reservation_bytes: usize) -> Result<usize, Refusal> {
    bytes
        .checked_next_multiple_of(page_size())
        .filter(|accessible| *accessible <= reservation_bytes)
        .ok_or(Refusal::TooLarge {
            bytes,
            reservation_bytes,
        })
}

// SAFETY: the base stays where it is and `byte_size` bytes from it are readable and writable as long
// as the lease lives, which is as long as this value.
unsafe impl LinearMemory for PooledMemory {
    fn byte_size(&self) -> usize {
        self.bytes
    }

    fn byte_capacity(&self) -> usize {
        self.lease.region().capacity()
    }

    fn grow_to(&mut self, new_size: usize) -> wasmtime::Result<()> {
        let region = self.lease.region_mut();
        let accessible = accessible(new_size, region.capacity())?;
        // Wasmtime only ever grows; a smaller size must not take pages from under the guest.
        if accessible > region.accessible() {
            region.set_accessible(accessible)?;
        }
        self.bytes = self.bytes.max(new_size);
        Ok(())
    }

    fn as_ptr(&self) -> *mut u8 {
        self.lease.region().base()
    }
}
