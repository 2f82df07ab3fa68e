//! Process metrics, under the names that Prometheus' client libraries use.

use std::{
    fs,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use prometheus::{
    core::{Collector, Desc},
    proto::MetricFamily,
};
use rustix::{
    process::{Resource, getrlimit},
    time::{ClockId, clock_gettime},
};

use super::family::{Family, description};

/// The folder of this process's descriptors.
const DESCRIPTORS: &str = if cfg!(target_os = "linux") {
    "/proc/self/fd"
} else {
    "/dev/fd"
};

/// Shows the process on `/metrics`. What the kernel does not tell at the moment is left out; other kernels than Linux
/// tell processor time and descriptors.
pub(super) struct Process {
    description: Desc,
    started: Option<f64>,
}

impl Process {
    pub(super) fn new() -> prometheus::Result<Self> {
        Ok(Self {
            description: description("process")?,
            started: started(),
        })
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.description]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let kibibytes = |name| Some(named(&status, name)? * 1024.0);
        // The folder is itself open while it is read.
        let open = fs::read_dir(DESCRIPTORS).map(|entries| entries.count().saturating_sub(1));
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let limit = getrlimit(Resource::Nofile).current;
        let gauge = |name, help, value: Option<f64>| Some(Family::gauge(name, help).with(&[], value?));
        let families = [
            Some(
                Family::counter(
                    "process_cpu_seconds_total",
                    "Total user and system CPU time in seconds",
                )
                .with(&[], cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9),
            ),
            gauge(
                "process_resident_memory_bytes",
                "Memory that is in RAM",
                kibibytes("VmRSS:"),
            ),
            gauge(
                "process_virtual_memory_bytes",
                "Address space, most of it reserved for instances' memories and never used",
                kibibytes("VmSize:"),
            ),
            gauge(
                "process_open_fds",
                "Descriptors in use",
                open.ok().map(|count| count as f64),
            ),
            gauge(
                "process_max_fds",
                "Descriptors that the process may have",
                Some(limit.map_or(f64::INFINITY, |limit| limit as f64)),
            ),
            gauge(
                "process_threads",
                "Threads of the operating system",
                named(&status, "Threads:"),
            ),
            gauge(
                "process_start_time_seconds",
                "When the process started, in seconds since 1970",
                self.started,
            ),
        ];
        families
            .into_iter()
            .flatten()
            .filter_map(Family::finish)
            .collect()
    }
}

/// The number in a line of `/proc/PID/status` (proc(5)).
fn named(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    number(line, 0)
}

fn number(text: &str, at: usize) -> Option<f64> {
    text.split_whitespace().nth(at)?.parse().ok()
}

/// The start time in `/proc/PID/stat`, counted from what follows the program's name, which may hold blanks itself.
const START: usize = 19;

/// Ticks a second of that time: what the kernel tells programs is the same on every machine this runs on.
const TICKS_A_SECOND: f64 = 100.0;

/// Returns the time at which this process started, in seconds since 1970.
fn started() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let uptime = fs::read_to_string("/proc/uptime").ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let since_boot = number(fields, START)? / TICKS_A_SECOND;
    let age = (number(&uptime, 0)? - since_boot).max(0.0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Some(
        now.saturating_sub(Duration::from_secs_f64(age))
            .as_secs_f64(),
    )
}
