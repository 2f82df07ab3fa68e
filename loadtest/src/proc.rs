//! The kernel's figures of a process: processor time, faults, switches, memory (proc(5)).

use std::{fs, io};

/// Counters of a process since its start, all threads together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Usage {
    /// User and system time in microseconds, in steps of the clock tick (10 ms).
    pub(crate) cpu_us: f64,
    /// Page faults served without I/O.
    pub(crate) minor_faults: f64,
    /// Times a thread went to sleep by itself; threads that ended are not in it.
    pub(crate) voluntary_switches: f64,
}

/// Memory of a process in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub(crate) struct Memory {
    pub(crate) resident: u64,
    /// Pages with no file behind them: heap, stacks, and mapped pages that the
    /// process changed. The kernel cannot take them back. Not `Private_Dirty`,
    /// which holds pages of files that were written a moment ago as well.
    pub(crate) anonymous: u64,
    /// Pages of files that only this process has mapped: compiled code. The
    /// kernel takes them back when memory is short and reads them again.
    pub(crate) mapped: u64,
}

impl Usage {
    /// # Errors
    /// When the process has ended.
    pub(crate) fn of(pid: u32) -> io::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let (minor_faults, ticks) = parse_stat(&stat).ok_or_else(|| unexpected("stat"))?;
        let ticks_per_second = rustix::param::clock_ticks_per_second() as f64;
        Ok(Self {
            cpu_us: ticks as f64 * 1e6 / ticks_per_second,
            minor_faults: minor_faults as f64,
            voluntary_switches: voluntary_switches(pid)? as f64,
        })
    }

    /// Returns what was used since `before`, for each of `requests`.
    pub(crate) fn per_request(&self, before: &Self, requests: u64) -> Self {
        let each = |now: f64, then: f64| (now - then).max(0.0) / requests.max(1) as f64;
        Self {
            cpu_us: each(self.cpu_us, before.cpu_us),
            minor_faults: each(self.minor_faults, before.minor_faults),
            voluntary_switches: each(self.voluntary_switches, before.voluntary_switches),
        }
    }
}

impl Memory {
    /// # Errors
    /// When the process has ended.
    pub(crate) fn of(pid: u32) -> io::Result<Self> {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        Self::parse(&rollup).ok_or_else(|| unexpected("smaps_rollup"))
    }

    /// Returns what each of `extra` more packages added to what there was `before`.
    pub(crate) fn each_since(&self, before: &Self, extra: usize) -> Self {
        let share = |now: u64, then: u64| now.saturating_sub(then) / extra.max(1) as u64;
        Self {
            resident: share(self.resident, before.resident),
            anonymous: share(self.anonymous, before.anonymous),
            mapped: share(self.mapped, before.mapped),
        }
    }

    fn parse(rollup: &str) -> Option<Self> {
        let bytes = |key| kilobytes(rollup, key).map(|kilobytes| kilobytes * 1024);
        let private = bytes("Private_Clean:")? + bytes("Private_Dirty:")?;
        let anonymous = bytes("Anonymous:")?;
        Some(Self {
            resident: bytes("Rss:")?,
            anonymous,
            mapped: private.saturating_sub(anonymous),
        })
    }
}

/// The most resident memory a process has had, in bytes.
///
/// # Errors
/// When the process has ended.
pub(crate) fn peak_resident(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    kilobytes(&status, "VmHWM:")
        .map(|kilobytes| kilobytes * 1024)
        .ok_or_else(|| unexpected("status"))
}

fn unexpected(file: &str) -> io::Error {
    io::Error::other(format!("/proc/PID/{file} is not as proc(5) describes it"))
}

/// Minor faults and user plus system ticks: fields 10, 14 and 15. The second
/// field, the name in parentheses, may itself hold spaces and parentheses.
fn parse_stat(stat: &str) -> Option<(u64, u64)> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let field = |number: usize| after_name.split_whitespace().nth(number - 3)?.parse().ok();
    let (user, system): (u64, u64) = (field(14)?, field(15)?);
    Some((field(10)?, user + system))
}

fn voluntary_switches(pid: u32) -> io::Result<u64> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end between the listing and the reading.
        let status = fs::read_to_string(task?.path().join("status")).unwrap_or_default();
        sum += kilobytes(&status, "voluntary_ctxt_switches:").unwrap_or(0);
    }
    Ok(sum)
}

/// The number after `key` at the start of a line.
fn kilobytes(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 321 0 0 0 40 2 0 0 20 0 3 0 1";
        assert_eq!(parse_stat(stat), Some((321, 42)));
    }

    #[test]
    fn this_process_has_memory_and_faults() {
        let pid = std::process::id();
        assert!(Usage::of(pid).unwrap().minor_faults > 0.0);
        let memory = Memory::of(pid).unwrap();
        assert!(memory.anonymous > 0);
        assert!(memory.resident >= memory.anonymous + memory.mapped);
        assert!(peak_resident(pid).unwrap() > 0);
    }

    #[test]
    fn mapped_code_is_told_apart_even_while_its_file_is_being_written_back() {
        let rollup = "5581-7ffd ---p 00000000 00:00 0 [rollup]\nRss:  900 kB\nPss: 700 kB\n\
                      Shared_Clean: 200 kB\nPrivate_Clean:  100 kB\nPrivate_Dirty:  600 kB\nAnonymous: 400 kB\n";
        let memory = Memory::parse(rollup).unwrap();
        assert_eq!(memory.resident, 900 * 1024);
        assert_eq!(memory.anonymous, 400 * 1024);
        assert_eq!(memory.mapped, 300 * 1024);
        assert_eq!(Memory::parse("Rss: 900 kB\n"), None);
    }

    #[test]
    fn what_a_package_costs_leaves_out_what_the_process_costs() {
        let memory = |anonymous, mapped| Memory {
            resident: anonymous + mapped,
            anonymous,
            mapped,
        };
        let each = memory(5000, 1000).each_since(&memory(1000, 1600), 4);
        assert_eq!((each.anonymous, each.mapped), (1000, 0));
    }

    #[test]
    fn usage_is_shared_out_over_the_requests() {
        let before = Usage::default();
        let now = Usage {
            cpu_us: 500.0,
            ..before
        };
        assert_eq!(now.per_request(&before, 100).cpu_us, 5.0);
    }
}
