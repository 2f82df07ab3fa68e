//! Detects that a process is a fork of the one that created the pool.
//!
//! A child inherits the pool's memory and its open page map, but the page map still describes the parent: relying on it
//! would leave one instance's bytes for the next. A page marked `MADV_WIPEONFORK` is zero in every child, however it
//! was made, and reading it costs nothing.

use std::{
    io,
    sync::atomic::{AtomicU8, Ordering},
};

use rustix::{mm::Advice, param::page_size};

use crate::region::Region;

/// Holds a mark that only the process that made it can see.
#[derive(Debug)]
pub(crate) struct ForkSentinel {
    region: Region,
}

impl ForkSentinel {
    /// Marks this process.
    ///
    /// # Errors
    /// If the kernel cannot map the page or does not know the advice (before Linux 4.14).
    pub(crate) fn new() -> io::Result<Self> {
        let page = page_size();
        let mut region = Region::reserve(0, page, 0)?;
        region.set_accessible(page)?;
        // SAFETY: exactly the one private anonymous page of `region`; the advice affects only what
        // a later child sees.
        unsafe { rustix::mm::madvise(region.base().cast(), page, Advice::LinuxWipeOnFork) }?;
        let sentinel = Self { region };
        sentinel.mark().store(MARK, Ordering::Relaxed);
        Ok(sentinel)
    }

    /// Returns whether this process is the one that made the sentinel.
    pub(crate) fn is_same_process(&self) -> bool {
        self.mark().load(Ordering::Relaxed) == MARK
    }

    fn mark(&self) -> &AtomicU8 {
        // SAFETY: the base of an accessible page that lives as long as `self`, aligned for a byte,
        // touched only through this atomic.
        unsafe { AtomicU8::from_ptr(self.region.base()) }
    }
}

/// Any value but zero, which is what a child reads.
const MARK: u8 = 0xA5;
