//! Chooses the best reset method that is shown to work here.

use std::{io, ops::Range};

use rustix::param::page_size;

use crate::{
    error::Error,
    image::Image,
    pagemap::{Mapping, Visit},
    region::Region,
    reset::{Finder, PageMap, Reset},
};

/// The methods by which returned memories are made clean, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResetMethod {
    /// `PAGEMAP_SCAN` finds the pages (Linux 6.7), which are zeroed in place.
    PagemapScan,
    /// Reads of `/proc/self/pagemap` find them.
    PagemapRead,
    /// Everything goes back to the kernel at every return.
    Madvise,
}

impl ResetMethod {
    /// The name for logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::PagemapScan => "pagemap-scan",
            Self::PagemapRead => "pagemap-read",
            Self::Madvise => "madvise",
        }
    }
}

/// The method in use, and the reason against a better one.
#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) reset: Reset,
    pub(crate) method: ResetMethod,
    pub(crate) reason: Option<String>,
}

/// Tries the methods in order, from `best` on, and takes the first that passes.
pub(crate) fn choose(best: ResetMethod, keep_resident_bytes: usize) -> Result<Choice, Error> {
    let mut reasons = Vec::new();
    for method in [ResetMethod::PagemapScan, ResetMethod::PagemapRead] {
        if (method as u8) < (best as u8) {
            continue;
        }
        match try_method(method, keep_resident_bytes) {
            Ok(reset) => {
                return Ok(Choice {
                    reset,
                    method,
                    reason: reason(&reasons),
                });
            }
            Err(why) => reasons.push(format!("{} does not work here: {why}", method.name())),
        }
    }
    let method = ResetMethod::Madvise;
    let reset = try_method(method, keep_resident_bytes).map_err(Error::SelfTest)?;
    Ok(Choice {
        reset,
        method,
        reason: reason(&reasons),
    })
}

fn reason(reasons: &[String]) -> Option<String> {
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

fn try_method(method: ResetMethod, keep_resident_bytes: usize) -> io::Result<Reset> {
    let finder = match method {
        ResetMethod::PagemapScan => Finder::Scan(PageMap::open()?),
        ResetMethod::PagemapRead => Finder::Read(PageMap::open()?),
        ResetMethod::Madvise => Finder::Blind,
    };
    let page = page_size();
    let mut region = Region::reserve(0, PAGES * page, 0)?;
    region.set_accessible(PAGES * page)?;
    finds_every_dirty_page(&finder, &mut region, page)?;
    let reset = Reset::new(finder, keep_resident_bytes);
    let outcome = reset.reset(&mut region, 0, None)?;
    if outcome.fallback.is_some() {
        return Err(io::Error::other("it failed when used a second time"));
    }
    if !region.is_zero() {
        return Err(io::Error::other("it left bytes behind"));
    }
    restores_an_image(&reset, &mut region, page)?;
    Ok(reset)
}

/// Tries the reset on pages of a file, of which some are written to, and on those behind them.
fn restores_an_image(reset: &Reset, region: &mut Region, page: usize) -> io::Result<()> {
    let image = Image::of_bytes(&[0xA5; IMAGE_PAGES].repeat(page))?;
    let (file, offset) = image.place();
    region.map(file, offset, image.bytes())?;
    for index in DIRTY {
        region.fill(index * page..(index + 1) * page, 0x5A)?;
    }
    region.page_out(SWAPPED * page..(SWAPPED + 1) * page);
    reset.reset(region, 0, Some(&image))?;
    let (own, rest) = region.bytes(0..PAGES * page)?.split_at(image.bytes());
    if own == image.contents() && rest.iter().all(|byte| *byte == 0) {
        Ok(())
    } else {
        Err(io::Error::other(
            "it left bytes behind in a memory with an image",
        ))
    }
}

/// Pages of the region the test is made on.
const PAGES: usize = 16;

/// The pages the test writes: alone, in a row, the first and the last.
const DIRTY: [usize; 5] = [0, 3, 4, 9, PAGES - 1];

/// Pages of the image, among which some are written to and after which others are.
const IMAGE_PAGES: usize = 8;

/// One of them, which the kernel is asked to swap out.
const SWAPPED: usize = 4;

fn finds_every_dirty_page(finder: &Finder, region: &mut Region, page: usize) -> io::Result<()> {
    for index in DIRTY {
        region.fill(index * page..(index + 1) * page, 0x5A)?;
    }
    region.page_out(SWAPPED * page..(SWAPPED + 1) * page);
    let base = region.base() as usize;
    let mut found: Vec<Range<usize>> = Vec::new();
    finder
        .find(
            base..base + region.accessible(),
            Mapping::Anonymous,
            page,
            |range| {
                found.push(range.start - base..range.end - base);
                Visit::Continue
            },
        )
        .map_err(io::Error::other)?;
    match DIRTY
        .iter()
        .find(|index| !found.iter().any(|range| range.contains(&(*index * page))))
    {
        Some(index) => Err(io::Error::other(format!(
            "it missed dirty page {index} of {PAGES}"
        ))),
        None => Ok(()),
    }
}
