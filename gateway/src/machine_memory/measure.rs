//! The memory of this process and of the machine, read from `/proc` on Linux.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
};

/// Measures this process repeatedly.
pub(super) struct Measure(File);

impl Measure {
    /// # Errors
    /// When it cannot be read.
    pub(super) fn new() -> io::Result<Self> {
        File::open("/proc/self/statm").map(Self)
    }

    /// The anonymous resident memory of this process, in bytes.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn used(&mut self) -> io::Result<usize> {
        let mut line = [0; 128];
        let read = self.0.read_at(&mut line, 0)?;
        let pages = line.get(..read).and_then(anonymous_pages);
        let pages = pages.ok_or_else(|| io::Error::other("/proc/self/statm is not as proc(5) has it"))?;
        Ok(pages.saturating_mul(rustix::param::page_size()))
    }
}

/// The anonymous resident pages, from a line of `/proc/PID/statm` (proc(5)): size, resident, shared, …
fn anonymous_pages(line: &[u8]) -> Option<usize> {
    let mut fields = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    let resident = fields.nth(1)?.parse::<usize>().ok()?;
    Some(resident.saturating_sub(fields.next()?.parse().ok()?))
}

/// The memory of the machine in bytes.
pub(crate) fn total() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_files_do_not_count() {
        assert_eq!(anonymous_pages(b"9000 700 300 1 0 5 0\n"), Some(400));
        assert_eq!(anonymous_pages(b"9000"), None);
    }
}
