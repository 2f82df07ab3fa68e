//! Fiber stacks for wasmtime's asynchronous calls.

use std::ops::Range;

use rustix::param::page_size;
use wasmtime::{StackCreator, StackMemory};

use crate::{
    error::Refusal,
    pool::Pool,
    shard::Lease,
    slots::{Contents, Key},
};

/// A stack in use by one store.
struct PooledStack {
    lease: Lease,
}

// SAFETY: the contract of `StackCreator` is that stacks are page-aligned, guarded at the bottom,
// owned by the store alone and, when asked for, zero-filled. A lease is exclusive; its region starts
// behind a guard that is never made accessible; zeroed and other stacks are never exchanged.
unsafe impl StackCreator for Pool {
    fn new_stack(&self, size: usize, zeroed: bool) -> wasmtime::Result<Box<dyn StackMemory>> {
        let contents = if zeroed {
            Contents::Zeros
        } else {
            Contents::Any
        };
        let lease = stack_bytes(size)
            .and_then(|bytes| self.stacks().take(Key { bytes, contents }))
            .map_err(|refusal| self.refused(refusal))?;
        Ok(Box::new(PooledStack { lease }))
    }
}

/// `size` rounded up to a page of the host, at least one.
fn stack_bytes(size: usize) -> Result<usize, Refusal> {
    size.max(1)
        .checked_next_multiple_of(page_size())
        .ok_or(Refusal::TooLarge {
            bytes: size,
            reservation_bytes: isize::MAX as usize,
        })
}

// SAFETY: top and range describe the region's accessible part, page-aligned and mapped as long as
// the lease lives; the guard is the inaccessible part right below it.
unsafe impl StackMemory for PooledStack {
    fn top(&self) -> *mut u8 {
        let region = self.lease.region();
        region.base().wrapping_add(region.accessible())
    }

    fn range(&self) -> Range<usize> {
        let base = self.lease.region().base() as usize;
        base..base + self.lease.region().accessible()
    }

    fn guard_range(&self) -> Range<*mut u8> {
        self.lease.region().front_guard()
    }
}
