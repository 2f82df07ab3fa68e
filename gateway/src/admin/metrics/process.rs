//! The process as the kernel sees it, under the names that Prometheus' own clients use.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::family::{Family, description};

/// Shows the process on `/metrics`. What the kernel does not tell at the moment is left out.
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
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let memory = fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let page = rustix::param::page_size() as f64;
        let pages = |at| Some(number(&memory, at)? * page);
        // The folder is itself open while it is read.
        let open = fs::read_dir("/proc/self/fd").map(|entries| entries.count().saturating_sub(1));
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let limit = getrlimit(Resource::Nofile).current;
        let gauge =
            |name, help, value: Option<f64>| Some(Family::gauge(name, help).with(&[], value?));
        let families = [
            Some(
                Family::counter(
                    "process_cpu_seconds_total",
                    "Processor time in user and system mode, in seconds",
                )
                .with(&[], cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9),
            ),
            gauge(
                "process_resident_memory_bytes",
                "Memory that is in RAM",
                pages(1),
            ),
            gauge(
                "process_virtual_memory_bytes",
                "Address space, most of it reserved for instances' memories and never used",
                pages(0),
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
                after_name(&stat).and_then(|rest| number(rest, THREADS)),
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
            .filter_map(Family::done)
            .collect()
    }
}

/// Fields of `/proc/PID/stat` behind the name (proc(5) counts from 1 with two before them): number of threads,
/// and start time in ticks since the boot.
const THREADS: usize = 17;
const START: usize = 19;

/// What follows the program's name, which may hold blanks and parentheses itself.
fn after_name(stat: &str) -> Option<&str> {
    stat.rsplit_once(')').map(|(_, rest)| rest)
}

fn number(text: &str, at: usize) -> Option<f64> {
    text.split_whitespace().nth(at)?.parse().ok()
}

/// When this process started, in seconds since 1970.
fn started() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let uptime = fs::read_to_string("/proc/uptime").ok()?;
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let since_boot = number(after_name(&stat)?, START)? / ticks;
    let age = (number(&uptime, 0)? - since_boot).max(0.0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Some(
        now.saturating_sub(Duration::from_secs_f64(age))
            .as_secs_f64(),
    )
}
