//! The reset: restores a returned region to zeros or to its image.

use std::{fs::File, io, ops::Range};

use rustix::param::page_size;

use crate::{
    fork::ForkSentinel,
    image::Image,
    pagemap::{self, Mapping, ScanError, Visit},
    region::Region,
};

/// Pages of which one is looked at before it is restored, whether anybody has written to it. A prime, since guests
/// write at distances that are powers of two.
const PAGES_TO_A_LOOK: usize = 7;

/// Looks from which on they are believed: half a megabyte of pages at the least.
const LOOKS_TO_BELIEVE: usize = 16;

/// Bytes that a worker restores or gives back of one memory before it goes on: less than half a millisecond, and more
/// than most requests write to. What is more is done by a thread of its own ([`crate::later`]).
pub(crate) const AT_ONCE: usize = 4 << 20;

/// Bytes that go back to the kernel by one call: meanwhile nobody else can change what is mapped.
const BACK_AT_ONCE: usize = 4 << 20;

/// Bytes compared at a time.
const ZEROS: [u8; 4096] = [0; 4096];

/// A way to reset, proven by [`crate::selftest`] before it is used.
#[derive(Debug)]
pub(crate) struct Reset {
    finder: Finder,
    keep_resident_bytes: usize,
    page_bytes: usize,
    /// The negative control of the isolation tests; does not exist in any other build.
    #[cfg(test)]
    pub(crate) switched_off: bool,
}

/// A way to find the pages that may hold data.
#[derive(Debug)]
pub(crate) enum Finder {
    /// One `PAGEMAP_SCAN` request.
    Scan(PageMap),
    /// Reads of the page map.
    Read(PageMap),
    /// Not at all: everything goes back to the kernel.
    Blind,
}

/// An open page map, and the means to know that it still describes this process.
#[derive(Debug)]
pub(crate) struct PageMap {
    file: File,
    sentinel: ForkSentinel,
}

/// The work of one reset.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Resident bytes left below the floor, all zero.
    pub(crate) kept_below: usize,
    /// Resident bytes left from the floor up, all zero.
    pub(crate) kept_above: usize,
    pub(crate) pages_zeroed: u64,
    pub(crate) over_budget: bool,
    /// Most of the pages that were kept had not been written to since the last reset: all went back.
    pub(crate) unneeded: bool,
    pub(crate) fallback: Option<Fallback>,
}

/// A reset under way.
#[derive(Debug, Default)]
pub(crate) struct Begun {
    outcome: Outcome,
    look: Look,
    /// Everything below is known to be as it was at first.
    clean_to: usize,
}

impl Begun {
    /// What was done, once all is.
    pub(crate) fn done(self) -> Outcome {
        self.outcome
    }
}

/// The reason why everything left went back to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fallback {
    ScanFailed,
    NoProgress,
    OutOfRange,
    Forked,
}

impl Reset {
    pub(crate) fn new(finder: Finder, keep_resident_bytes: usize) -> Self {
        let page_bytes = page_size();
        Self {
            finder,
            keep_resident_bytes: keep_resident_bytes - keep_resident_bytes % page_bytes,
            page_bytes,
            #[cfg(test)]
            switched_off: false,
        }
    }

    pub(crate) fn keep_resident_bytes(&self) -> usize {
        self.keep_resident_bytes
    }

    /// Makes every accessible byte of `region` what it was at first: that of its image, or zero. What is kept is
    /// counted apart below and above `floor`, because the part above is about to become inaccessible.
    ///
    /// # Errors
    /// The region's contents are unknown then: it must not be used again.
    pub(crate) fn reset(&self, region: &mut Region, floor: usize, image: Option<&Image>) -> io::Result<Outcome> {
        let mut begun = Begun::default();
        self.go_on(region, floor, image, &mut begun, usize::MAX)?;
        Ok(begun.done())
    }

    /// Goes on with a reset until it is done, or about `at_once` bytes were restored or given back. Returns whether it
    /// is done; the region is as good as dirty until then.
    ///
    /// # Errors
    /// The region's contents are unknown then: it must not be used again.
    pub(crate) fn go_on(
        &self,
        region: &mut Region,
        floor: usize,
        image: Option<&Image>,
        begun: &mut Begun,
        at_once: usize,
    ) -> io::Result<bool> {
        #[cfg(test)]
        if self.switched_off {
            return Ok(true);
        }
        let end = region.accessible();
        if end == 0 {
            return Ok(true);
        }
        if let Finder::Blind = self.finder {
            return give_back(region, 0..end, at_once);
        }
        let Begun {
            outcome,
            look,
            clean_to,
        } = begun;
        let mut failure = None;
        let (mut left, mut is_paused) = (at_once, false);
        let base = region.base() as usize;
        let mapping = image.map_or(Mapping::Anonymous, |_| Mapping::File);
        let scanned = self.find(base + *clean_to..base + end, mapping, |found| {
            let (start, found_end) = (found.start - base, found.end - base);
            let room = self.keep_resident_bytes - outcome.kept_below - outcome.kept_above;
            let restore_to = found_end.min(start.saturating_add(room.min(left)));
            let range = start..restore_to;
            let restored = look
                .at(region, range.clone(), image, self.page_bytes)
                .and_then(|()| restore(region, range.clone(), image));
            if let Err(error) = restored {
                failure = Some(error);
                return Visit::Stop;
            }
            left -= range.len();
            outcome.keep(range, floor, self.page_bytes);
            *clean_to = restore_to;
            if restore_to == found_end {
                return Visit::Continue;
            }
            is_paused = left == 0;
            outcome.over_budget = !is_paused;
            Visit::Stop
        });
        if let Some(error) = failure {
            return Err(error);
        }
        if is_paused {
            return Ok(false);
        }
        outcome.fallback = scanned.err();
        if outcome.over_budget || outcome.fallback.is_some() {
            // A fork has no other thread that could go on.
            let at_once = match outcome.fallback {
                Some(Fallback::Forked) => usize::MAX,
                _ => at_once,
            };
            if !give_back(region, *clean_to..end, at_once)? {
                return Ok(false);
            }
        }
        if look.says_unneeded() {
            region.decommit(0..end)?;
            (outcome.kept_below, outcome.kept_above) = (0, 0);
            outcome.unneeded = true;
        }
        Ok(true)
    }

    /// Visits the ranges of addresses inside `range` that may hold data, lowest first.
    fn find(
        &self,
        range: Range<usize>,
        mapping: Mapping,
        visit: impl FnMut(Range<usize>) -> Visit,
    ) -> Result<(), Fallback> {
        self.finder
            .find(range, mapping, self.page_bytes, visit)
            .map_err(|error| match error {
                FindError::Forked => Fallback::Forked,
                FindError::Scan(ScanError::Failed(_)) => Fallback::ScanFailed,
                FindError::Scan(ScanError::NoProgress) => Fallback::NoProgress,
                FindError::Scan(ScanError::OutOfRange) => Fallback::OutOfRange,
            })
    }
}

/// Gives a range back to the kernel if it is not too long for now; returns whether it was.
fn give_back(region: &mut Region, range: Range<usize>, at_once: usize) -> io::Result<bool> {
    if range.len() > at_once {
        return Ok(false);
    }
    for start in range.clone().step_by(BACK_AT_ONCE) {
        region.decommit(start..range.end.min(start.saturating_add(BACK_AT_ONCE)))?;
    }
    Ok(true)
}

/// Writes the first contents over `range` of a region.
fn restore(region: &mut Region, range: Range<usize>, image: Option<&Image>) -> io::Result<()> {
    let contents = image.map_or(&[] as &[u8], Image::contents);
    let image_end = contents.len().clamp(range.start, range.end);
    region.copy(
        range.start,
        contents.get(range.start..image_end).unwrap_or_default(),
    )?;
    region.fill(image_end..range.end, 0)
}

/// Looks at a few of the pages that are found: those that are as they were at first are kept for nothing, and restoring
/// them at every reset costs more than the faults of who needs them next.
#[derive(Debug, Default)]
struct Look {
    pages: usize,
    unchanged: usize,
}

impl Look {
    fn at(
        &mut self,
        region: &mut Region,
        range: Range<usize>,
        image: Option<&Image>,
        page_bytes: usize,
    ) -> io::Result<()> {
        let contents = image.map_or(&[] as &[u8], Image::contents);
        let first = range.start.next_multiple_of(page_bytes * PAGES_TO_A_LOOK);
        for start in (first..range.end).step_by(page_bytes * PAGES_TO_A_LOOK) {
            let page = &*region.bytes(start..start + page_bytes)?;
            let unchanged = match contents.get(start..start + page_bytes) {
                Some(contents) => page == contents,
                None => page.chunks(ZEROS.len()).all(|part| ZEROS.starts_with(part)),
            };
            self.pages += 1;
            self.unchanged += usize::from(unchanged);
        }
        Ok(())
    }

    fn says_unneeded(&self) -> bool {
        self.pages >= LOOKS_TO_BELIEVE && self.unchanged > self.pages / 2
    }
}

/// A reason why the pages could not be found.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FindError {
    #[error("this process is a fork of the one that opened the page map")]
    Forked,
    #[error(transparent)]
    Scan(#[from] ScanError),
}

impl Finder {
    /// Visits the ranges of addresses inside `range` that may hold data, lowest first; the whole
    /// range if there is no way to know.
    pub(crate) fn find(
        &self,
        range: Range<usize>,
        mapping: Mapping,
        page_bytes: usize,
        mut visit: impl FnMut(Range<usize>) -> Visit,
    ) -> Result<(), FindError> {
        match self {
            Self::Scan(map) => Ok(pagemap::scan(map.file()?, range, mapping, visit)?),
            Self::Read(map) => Ok(pagemap::read(map.file()?, range, page_bytes, visit)?),
            Self::Blind => {
                visit(range);
                Ok(())
            }
        }
    }
}

impl PageMap {
    pub(crate) fn open() -> io::Result<Self> {
        Self::with_file(pagemap::open()?)
    }

    /// With a file that stands for the page map.
    pub(crate) fn with_file(file: File) -> io::Result<Self> {
        Ok(Self {
            sentinel: ForkSentinel::new()?,
            file,
        })
    }

    fn file(&self) -> Result<&File, FindError> {
        if self.sentinel.is_same_process() {
            Ok(&self.file)
        } else {
            Err(FindError::Forked)
        }
    }
}

impl Outcome {
    fn keep(&mut self, range: Range<usize>, floor: usize, page_bytes: usize) {
        self.pages_zeroed += (range.len() / page_bytes) as u64;
        let above = range.end.saturating_sub(range.start.max(floor));
        self.kept_above += above;
        self.kept_below += range.len() - above;
    }
}
