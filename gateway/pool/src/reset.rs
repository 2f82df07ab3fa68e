//! The reset: it makes a returned region read as zeros again.

use std::{fs::File, io, ops::Range};

use rustix::param::page_size;

use crate::{
    fork::ForkSentinel,
    pagemap::{self, ScanError, Visit},
    region::Region,
};

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
    pub(crate) fallback: Option<Fallback>,
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

    /// Makes every accessible byte of `region` zero. What is kept is counted apart below and above
    /// `floor`, because the part above is about to become inaccessible.
    ///
    /// # Errors
    /// The region's contents are unknown then: it must not be used again.
    pub(crate) fn reset(&self, region: &mut Region, floor: usize) -> io::Result<Outcome> {
        #[cfg(test)]
        if self.switched_off {
            return Ok(Outcome::default());
        }
        let end = region.accessible();
        let mut outcome = Outcome::default();
        if end == 0 {
            return Ok(outcome);
        }
        if let Finder::Blind = self.finder {
            region.decommit(0..end)?;
            return Ok(outcome);
        }
        // Everything below is known to be zero.
        let mut clean_to = 0;
        let mut failure = None;
        let base = region.base() as usize;
        let scanned = self.find(base..base + end, |found| {
            let (start, found_end) = (found.start - base, found.end - base);
            let room = self.keep_resident_bytes - outcome.kept_below - outcome.kept_above;
            let zero_to = found_end.min(start.saturating_add(room));
            if let Err(error) = region.fill(start..zero_to, 0) {
                failure = Some(error);
                return Visit::Stop;
            }
            outcome.keep(start..zero_to, floor, self.page_bytes);
            clean_to = zero_to;
            if zero_to == found_end {
                return Visit::Continue;
            }
            outcome.over_budget = true;
            Visit::Stop
        });
        if let Some(error) = failure {
            return Err(error);
        }
        outcome.fallback = scanned.err();
        if outcome.over_budget || outcome.fallback.is_some() {
            region.decommit(clean_to..end)?;
        }
        Ok(outcome)
    }

    /// Visits the ranges of addresses inside `range` that may hold data, lowest first.
    fn find(&self, range: Range<usize>, visit: impl FnMut(Range<usize>) -> Visit) -> Result<(), Fallback> {
        self.finder
            .find(range, self.page_bytes, visit)
            .map_err(|error| match error {
                FindError::Forked => Fallback::Forked,
                FindError::Scan(ScanError::Failed(_)) => Fallback::ScanFailed,
                FindError::Scan(ScanError::NoProgress) => Fallback::NoProgress,
                FindError::Scan(ScanError::OutOfRange) => Fallback::OutOfRange,
            })
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
        page_bytes: usize,
        mut visit: impl FnMut(Range<usize>) -> Visit,
    ) -> Result<(), FindError> {
        match self {
            Self::Scan(map) => Ok(pagemap::scan(map.file()?, range, visit)?),
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
