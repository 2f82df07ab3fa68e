//! The memory limit that the system sets for this process.

use std::fs;

use crate::machine_memory;

/// The reserve for the kernel's buffers and for growth between two measurements: a fraction, with bounds.
const RESERVE_PART: u64 = 10;
const RESERVE_AT_LEAST: u64 = 64 << 20;
const RESERVE_AT_MOST: u64 = 1 << 30;

/// Returns the default memory for all instances: the limit of the control group or the machine, less a reserve.
pub(super) fn memory() -> u64 {
    less_reserve(allowed().unwrap_or(u64::MAX))
}

fn less_reserve(allowed: u64) -> u64 {
    let reserve = (allowed / RESERVE_PART).clamp(RESERVE_AT_LEAST, RESERVE_AT_MOST);
    allowed - reserve.min(allowed / 2)
}

/// The smallest limit of the control group (v1 or v2), its ancestors, and the machine.
fn allowed() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = groups.lines().filter_map(folder).flat_map(limits);
    limits.chain(machine_memory::total()).min()
}

/// The folder of a line of `/proc/self/cgroup` (cgroups(7)) and the name of its limit file, if it limits memory.
fn folder(line: &str) -> Option<(&'static str, &'static str, &str)> {
    let mut parts = line.splitn(3, ':');
    let (controllers, path) = (parts.nth(1)?, parts.next()?);
    match controllers {
        "" => Some(("/sys/fs/cgroup", "memory.max", path)),
        some if some.split(',').any(|name| name == "memory") => {
            Some(("/sys/fs/cgroup/memory", "memory.limit_in_bytes", path))
        }
        _ => None,
    }
}

/// The limits from a group upwards. In a container the group's own folder is the root, and its path does not exist.
fn limits((root, name, path): (&'static str, &'static str, &str)) -> Vec<u64> {
    let mut path = path.trim_matches('/');
    let mut found = Vec::new();
    loop {
        let text = fs::read_to_string(format!("{root}/{path}/{name}"));
        found.extend(text.ok().and_then(|text| text.trim().parse::<u64>().ok()));
        if path.is_empty() {
            return found;
        }
        path = path.rsplit_once('/').map_or("", |(above, _)| above);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_stays_and_never_more_than_half() {
        assert_eq!(less_reserve(1_000 << 20), 900 << 20);
        assert_eq!(less_reserve(100 << 20), 50 << 20);
        assert_eq!(less_reserve(100 << 30), 99 << 30);
    }

    #[test]
    fn both_versions_of_groups_are_known() {
        assert_eq!(
            folder("0::/a/b"),
            Some(("/sys/fs/cgroup", "memory.max", "/a/b"))
        );
        assert_eq!(
            folder("4:cpu,memory:/x"),
            Some(("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "/x"))
        );
        assert_eq!(folder("9:name=systemd:/"), None);
        assert!(memory() > 0 && memory() < u64::MAX / 2);
    }
}
