//! Asks the kernel which pages of a range may hold data.
//!
//! There are two ways, both with `/proc/self/pagemap` (<https://docs.kernel.org/admin-guide/mm/pagemap.html>): the
//! `PAGEMAP_SCAN` request of Linux 6.7, which walks the page tables and returns ranges, and plain reads, eight bytes a
//! page.
//!
//! The open file belongs to the address space of the process that opened it: after a fork the child's copy still
//! describes the parent. [`crate::fork`] detects that.

use std::{ffi::c_void, fs::File, io, ops::Range, os::unix::fs::FileExt};

use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, ioctl, opcode};

/// Ranges fetched at a time: enough for a fragmented heap in one call, 1.5 KiB of stack.
const RANGES_PER_CALL: usize = 64;

/// Entries read at a time: 2 MiB of memory a read, 4 KiB of stack.
const ENTRIES_PER_READ: usize = 512;

/// `_IOWR('f', 16, struct pm_scan_arg)`.
const PAGEMAP_SCAN: Opcode = opcode::read_write::<ScanRequest>(b'f', 16);

const PAGE_IS_FILE: u64 = 1 << 2;
const PAGE_IS_PRESENT: u64 = 1 << 3;
const PAGE_IS_SWAPPED: u64 = 1 << 4;
const PAGE_IS_PFNZERO: u64 = 1 << 5;

/// Bits 63 (present) and 62 (swapped or being moved) of an entry.
const ENTRY_HOLDS_DATA: u64 = 0b11 << 62;

/// Bit 61: the page is a file's, which nobody has written through this mapping.
const ENTRY_IS_FILE: u64 = 1 << 61;

/// A scan that cannot be believed. Whatever it reported before stays true.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScanError {
    #[error(transparent)]
    Failed(#[from] io::Error),
    #[error("the kernel got no further, or gave an end outside the range asked for")]
    NoProgress,
    #[error("a reported range is not inside the part asked for, or not in order")]
    OutOfRange,
}

/// What a range shows where nobody has written to it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mapping {
    /// Zeros.
    Anonymous,
    /// A file's pages.
    File,
}

impl Mapping {
    /// Pages that hold nothing of this mapping's own: the shared zero page, and those of the file that is mapped. The
    /// kernel looks at the descriptor of every page when it is asked whether a file's, so it is not where none can be.
    fn nobodys(self) -> u64 {
        match self {
            Self::Anonymous => PAGE_IS_PFNZERO,
            Self::File => PAGE_IS_PFNZERO | PAGE_IS_FILE,
        }
    }
}

/// A visitor's wish.
pub(crate) enum Visit {
    Continue,
    Stop,
}

/// Calls `visit` for each range of addresses inside `range` whose pages are present and neither the
/// shared zero page nor a file's own, or are swapped out or being migrated. Both bounds are page-aligned.
///
/// Present alone is not enough: a dirty page that compaction is moving, or that is on swap, is not
/// present, and its bytes come back.
pub(crate) fn scan(
    pagemap: &File,
    range: Range<usize>,
    mapping: Mapping,
    mut visit: impl FnMut(Range<usize>) -> Visit,
) -> Result<(), ScanError> {
    let nobodys = mapping.nobodys();
    let mut found = [PageRegion::default(); RANGES_PER_CALL];
    let mut cursor = range.start;
    while cursor < range.end {
        let mut request = ScanRequest {
            size: size_of::<ScanRequest>() as u64,
            start: cursor as u64,
            end: range.end as u64,
            vec: found.as_mut_ptr() as u64,
            vec_len: found.len() as u64,
            category_inverted: nobodys,
            category_mask: nobodys,
            category_anyof_mask: PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
            return_mask: PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
            ..ScanRequest::default()
        };
        // SAFETY: the request is the kernel's `struct pm_scan_arg` with its true size; `vec` points
        // to `vec_len` writable elements that outlive the call, laid out as `struct page_region`.
        // With no flags set the scan changes nothing but `walk_end` and those elements.
        let count = unsafe { ioctl(pagemap, Scan(&mut request)) }.map_err(io::Error::from)?;
        let reported = found.get(..count).ok_or(ScanError::OutOfRange)?;
        let walked_to = request.walk_end as usize;
        let mut last = cursor;
        for region in reported {
            let (start, end) = (region.start as usize, region.end as usize);
            if start < last || end <= start || end > range.end {
                return Err(ScanError::OutOfRange);
            }
            last = end;
            if let Visit::Stop = visit(start..end) {
                return Ok(());
            }
        }
        if walked_to <= cursor || walked_to < last || walked_to > range.end {
            return Err(ScanError::NoProgress);
        }
        cursor = walked_to;
    }
    Ok(())
}

/// Does what [`scan`] does by reading the entries of the pages. Cannot tell the shared zero page from a
/// private one, so it reports more.
pub(crate) fn read(
    pagemap: &File,
    range: Range<usize>,
    page_bytes: usize,
    mut visit: impl FnMut(Range<usize>) -> Visit,
) -> Result<(), ScanError> {
    let mut buffer = [0_u8; ENTRIES_PER_READ * 8];
    let mut cursor = range.start;
    let mut run: Option<Range<usize>> = None;
    while cursor < range.end {
        let pages = ((range.end - cursor) / page_bytes).min(ENTRIES_PER_READ);
        let entries = buffer.get_mut(..pages * 8).ok_or(ScanError::NoProgress)?;
        let offset = (cursor / page_bytes) as u64 * 8;
        pagemap.read_exact_at(entries, offset)?;
        for entry in entries.as_chunks::<8>().0 {
            let page = cursor..cursor + page_bytes;
            cursor = page.end;
            let entry = u64::from_ne_bytes(*entry);
            if entry & ENTRY_HOLDS_DATA != 0 && entry & ENTRY_IS_FILE == 0 {
                run = Some(run.map_or(page.start, |run| run.start)..page.end);
            } else if let Some(run) = run.take()
                && let Visit::Stop = visit(run)
            {
                return Ok(());
            }
        }
    }
    if let Some(run) = run {
        visit(run);
    }
    Ok(())
}

/// Opens this process's page map.
pub(crate) fn open() -> io::Result<File> {
    File::open("/proc/self/pagemap")
}

/// The kernel's `struct pm_scan_arg` (include/uapi/linux/fs.h).
#[repr(C)]
#[derive(Default)]
struct ScanRequest {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

/// The `PAGEMAP_SCAN` request; its output is the number of ranges. rustix has no call for it.
struct Scan<'a>(&'a mut ScanRequest);

// SAFETY: the opcode is that of `PAGEMAP_SCAN`, which reads and writes one `struct pm_scan_arg` and answers with a
// number.
unsafe impl Ioctl for Scan<'_> {
    type Output = usize;

    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        PAGEMAP_SCAN
    }

    fn as_ptr(&mut self) -> *mut c_void {
        (&raw mut *self.0).cast()
    }

    unsafe fn output_from_ptr(count: IoctlOutput, _: *mut c_void) -> rustix::io::Result<usize> {
        usize::try_from(count).map_err(|_| rustix::io::Errno::OVERFLOW)
    }
}

/// The kernel's `struct page_region`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct PageRegion {
    start: u64,
    end: u64,
    categories: u64,
}

const _: () = assert!(size_of::<ScanRequest>() == 96 && PAGEMAP_SCAN == 0xC060_6610);
