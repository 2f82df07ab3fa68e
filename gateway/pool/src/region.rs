//! One reserved stretch of address space: guard, accessible prefix, rest out of reach.
//!
//! ```text
//! | guard | accessible | reserved, no access | guard |
//!         ^ base       ^ accessible          ^ capacity
//! ```
//!
//! Every change of protection and every write to a pooled page goes through this file.

use std::{
    fs::File,
    io,
    ops::Range,
    ptr::{self, NonNull},
};

use rustix::mm::{Advice, MapFlags, MprotectFlags, ProtFlags};

/// Owned address space. Unmapped when dropped.
///
/// A region hands out its base only as a raw pointer; whoever takes it promises, by the contract of
/// wasmtime's `LinearMemory` and `StackMemory`, not to use it once the lease on the region is over.
#[derive(Debug)]
pub(crate) struct Region {
    map: NonNull<u8>,
    map_bytes: usize,
    front_guard: usize,
    capacity: usize,
    accessible: usize,
}

// SAFETY: a region owns its mapping alone; the pointer is an address, not tied to a thread, and
// every method that changes the mapping takes `&mut self`.
unsafe impl Send for Region {}
// SAFETY: as above; the methods on `&self` only read plain fields.
unsafe impl Sync for Region {}

impl Region {
    /// Reserves `front_guard + capacity + back_guard` bytes, all multiples of the page size, none
    /// of them accessible.
    pub(crate) fn reserve(front_guard: usize, capacity: usize, back_guard: usize) -> io::Result<Self> {
        let map_bytes = front_guard
            .checked_add(capacity)
            .and_then(|bytes| bytes.checked_add(back_guard))
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a fresh anonymous mapping at an address of the kernel's choice overlaps nothing.
        let map = unsafe { rustix::mm::mmap_anonymous(ptr::null_mut(), map_bytes, ProtFlags::empty(), flags) }?;
        let map = NonNull::new(map.cast::<u8>()).ok_or_else(|| io::Error::other("the kernel mapped address zero"))?;
        let region = Self {
            map,
            map_bytes,
            front_guard,
            capacity,
            accessible: 0,
        };
        // A huge page would make one dirty byte cost 2 MiB of zeroing. The whole mapping gets the
        // same flag so that the kernel can merge its parts again. Kernels without huge pages say
        // EINVAL, which is as good.
        // SAFETY: the range is exactly the mapping made above; the advice does not change contents.
        let _ = unsafe {
            rustix::mm::madvise(
                region.map.as_ptr().cast(),
                map_bytes,
                Advice::LinuxNoHugepage,
            )
        };
        Ok(region)
    }

    /// The first byte after the front guard. Never null.
    pub(crate) fn base(&self) -> *mut u8 {
        self.map.as_ptr().wrapping_add(self.front_guard)
    }

    /// The most bytes that may be made accessible.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes that are accessible now.
    pub(crate) fn accessible(&self) -> usize {
        self.accessible
    }

    /// The guard in front of the base.
    pub(crate) fn front_guard(&self) -> Range<*mut u8> {
        self.map.as_ptr()..self.base()
    }

    /// Makes exactly the first `bytes` (a multiple of the page size) readable and writable and the
    /// rest inaccessible. One system call, or none if nothing changes.
    ///
    /// # Errors
    /// The kernel's: out of memory or of mappings. The old size stays in force for the caller.
    pub(crate) fn set_accessible(&mut self, bytes: usize) -> io::Result<()> {
        if bytes > self.capacity {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        let (range, protection) = match bytes.cmp(&self.accessible) {
            std::cmp::Ordering::Equal => return Ok(()),
            std::cmp::Ordering::Greater => (
                self.accessible..bytes,
                MprotectFlags::READ | MprotectFlags::WRITE,
            ),
            std::cmp::Ordering::Less => (bytes..self.accessible, MprotectFlags::empty()),
        };
        let start = self.base().wrapping_add(range.start).cast();
        // SAFETY: the range lies inside this region's own mapping (`bytes` and `accessible` are at
        // most `capacity`). Nothing in Rust holds a reference into it; the lease holder's accesses
        // beyond `bytes` are faults that wasmtime turns into traps.
        unsafe { rustix::mm::mprotect(start, range.len(), protection) }?;
        self.accessible = bytes;
        Ok(())
    }

    /// Maps `bytes` of a file from `offset` on (multiples of the page size, inside the accessible part) over the first
    /// bytes of the region: what is written there is this region's own.
    ///
    /// # Errors
    /// If they are not inside, or the kernel's. The region must not be used then.
    pub(crate) fn map(&mut self, file: &File, offset: u64, bytes: usize) -> io::Result<()> {
        if bytes > self.accessible {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        let (start, protection) = (self.base().cast(), ProtFlags::READ | ProtFlags::WRITE);
        let flags = MapFlags::PRIVATE | MapFlags::FIXED | MapFlags::NORESERVE;
        // SAFETY: the range lies inside this region's own mapping, of which nothing in Rust holds a reference, and
        // `&mut self` means that nobody is using the contents that it replaces.
        unsafe { rustix::mm::mmap(start, bytes, protection, flags, file, offset) }?;
        // SAFETY: exactly that range; the advice does not change contents.
        let _ = unsafe { rustix::mm::madvise(start, bytes, Advice::LinuxNoHugepage) };
        Ok(())
    }

    /// Writes `bytes` from the offset `at` on.
    ///
    /// # Errors
    /// If that is not all inside the accessible part; nothing is written then.
    pub(crate) fn copy(&mut self, at: usize, bytes: &[u8]) -> io::Result<()> {
        self.bytes(at..at.saturating_add(bytes.len()))?
            .copy_from_slice(bytes);
        Ok(())
    }

    /// The bytes of `range`.
    ///
    /// # Errors
    /// If it is not inside the accessible part.
    pub(crate) fn bytes(&mut self, range: Range<usize>) -> io::Result<&mut [u8]> {
        if range.start > range.end || range.end > self.accessible {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        // SAFETY: the range was just checked to be inside the readable and writable prefix of the mapping, which the
        // kernel has initialised, and `&mut self` on a region without a lease means nobody else is using it.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.base().add(range.start), range.len()) })
    }

    /// Writes `byte` over `range`, which must lie inside the accessible part.
    ///
    /// # Errors
    /// If it does not; nothing is written then.
    pub(crate) fn fill(&mut self, range: Range<usize>, byte: u8) -> io::Result<()> {
        self.bytes(range)?.fill(byte);
        Ok(())
    }

    /// Returns whether every accessible byte is zero.
    pub(crate) fn is_zero(&mut self) -> bool {
        self.bytes(0..self.accessible)
            .is_ok_and(|bytes| bytes.iter().all(|byte| *byte == 0))
    }

    /// Asks the kernel to move the pages of `range` out of memory, if it can.
    pub(crate) fn page_out(&mut self, range: Range<usize>) {
        if range.start <= range.end && range.end <= self.capacity {
            let start = self.base().wrapping_add(range.start).cast();
            // SAFETY: the range lies inside this region's own mapping; contents are preserved.
            let _ = unsafe { rustix::mm::madvise(start, range.len(), Advice::LinuxPageOut) };
        }
    }

    /// Gives the pages of `range` (multiples of the page size, inside the capacity) back to the
    /// kernel: the next access reads zeros, or the file that is mapped there.
    ///
    /// # Errors
    /// The kernel's, for instance on locked memory. The contents are unknown then.
    pub(crate) fn decommit(&mut self, range: Range<usize>) -> io::Result<()> {
        if range.start > range.end || range.end > self.capacity {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        if range.is_empty() {
            return Ok(());
        }
        let start = self.base().wrapping_add(range.start).cast();
        // SAFETY: the range lies inside this region's own private mapping, for which MADV_DONTNEED means zeros
        // afterwards, or the file's bytes; `&mut self` means nobody is using the contents.
        unsafe { rustix::mm::madvise(start, range.len(), Advice::LinuxDontNeed) }?;
        Ok(())
    }

    /// Unmaps the region.
    ///
    /// # Errors
    /// If the kernel cannot (it may need one mapping more to cut this one out): the address space
    /// then stays reserved for the life of the process and is never used again.
    pub(crate) fn unmap(self) -> io::Result<()> {
        let region = std::mem::ManuallyDrop::new(self);
        region.munmap()
    }

    fn munmap(&self) -> io::Result<()> {
        // SAFETY: exactly the mapping made in `reserve`; both callers give the region up with it.
        unsafe { rustix::mm::munmap(self.map.as_ptr().cast(), self.map_bytes) }?;
        Ok(())
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // A failure leaves address space reserved, which is safe; there is nobody left to tell.
        let _ = self.munmap();
    }
}
