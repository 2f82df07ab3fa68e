//! `[limits]` and a package's `limits`: limits of an instance and of a package.

use std::{ops::RangeInclusive, time::Duration};

use wasmgate_common::{Code, Diagnostic};

use super::{
    reader::{Section, one_of},
    unit,
};
use crate::engine::StackSize;

/// The time that a request may take unless configured: what proxies in front commonly wait.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The range of `timeout`: below a millisecond nothing is answered, though a guest that spins is stopped by the epoch's
/// next tick only; a day is for long streams.
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(24 * 3600);

/// The range of `idle`: below ten milliseconds the pause of a busy machine is taken for a
/// guest that stands still; a day is for events that are rare.
const IDLES: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(24 * 3600);

/// What a limit that is off says of itself, so that a package can take back what `[limits]` has.
const NONE: &str = "none";

/// The memory of one instance unless configured: generous for a service, and a few hundred instances
/// fit into a small machine, since untouched pages cost nothing.
const MEMORY: u64 = 128 << 20;

/// The range of `memory`: one page of WebAssembly to all that 32-bit addresses reach.
const MEMORIES: RangeInclusive<u64> = 64 << 10..=4 << 30;

/// The body of one request unless configured: larger than most JSON, smaller than an upload.
const REQUEST_BODY: u64 = 8 << 20;

/// The range of `request_body`. Bodies are streamed, so the upper end is only a guard against typing
/// errors.
const REQUEST_BODIES: RangeInclusive<u64> = 1..=1 << 40;

/// Instances of one package at once unless configured.
const CONCURRENCY: usize = 1000;

/// The range of `concurrency`: each instance reserves address space, of which a process has room for
/// some tens of thousands.
const CONCURRENCIES: RangeInclusive<usize> = 1..=100_000;

/// Requests of one package that may wait for an instance unless configured: a burst, and no more than is answered
/// within [`QUEUE_TIMEOUT`] by a package that takes its time.
const QUEUE: usize = 100;

/// The range of `queue`: each request that waits holds its head and its connection.
const QUEUES: RangeInclusive<usize> = 0..=100_000;

/// The time that a request may wait for an instance unless configured: shorter than a person's patience, long enough
/// for a burst to pass.
const QUEUE_TIMEOUT: Duration = Duration::from_millis(500);

/// The range of `queue_timeout`: what waits for longer is better refused and tried again.
const QUEUE_TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_mins(1);

/// Outgoing requests of one instance at once unless configured: more than a page is gathered from.
const OUTBOUND_PER_INSTANCE: usize = 100;

/// Outgoing requests of one package at once unless configured: one for each instance.
const OUTBOUND_CONCURRENCY: usize = 1000;

/// The range of the two: each request takes a descriptor, of which a process may have a million.
const OUTBOUND_CONCURRENCIES: RangeInclusive<usize> = 1..=1_000_000;

/// The limits of one instance of a package, and of their number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Wall time of one request, from its head to the end of its response; with `idle`, to the response's head, and
    /// once more for what the guest does after the end of the response.
    pub timeout: Duration,
    /// The time until the response's head.
    pub first_byte: Option<Duration>,
    /// The time that a reader of the response may wait for the next part of its body.
    pub idle: Option<Duration>,
    /// Bytes of all memories, tables and globals of one instance, and of what the host holds for it.
    pub memory: u64,
    /// The stack of one instance's calls.
    pub stack: StackSize,
    /// Bytes of one request's body.
    pub request_body: u64,
    /// Instances of the package at once.
    pub concurrency: usize,
    /// Requests that may wait for an instance when there are as many.
    pub queue: usize,
    /// The time that each of them may wait.
    pub queue_timeout: Duration,
    /// Requests to other origins that one instance may have under way at once.
    pub outbound_per_instance: usize,
    /// The same of all instances of the package.
    pub outbound_concurrency: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: TIMEOUT,
            first_byte: None,
            idle: None,
            memory: MEMORY,
            stack: StackSize::default(),
            request_body: REQUEST_BODY,
            concurrency: CONCURRENCY,
            queue: QUEUE,
            queue_timeout: QUEUE_TIMEOUT,
            outbound_per_instance: OUTBOUND_PER_INSTANCE,
            outbound_concurrency: OUTBOUND_CONCURRENCY,
        }
    }
}

/// The keys of `[limits]` and of a package's `limits`.
const KEYS: [&str; 11] = [
    "timeout",
    "first_byte",
    "idle",
    "memory",
    "stack",
    "request_body",
    "concurrency",
    "queue",
    "queue_timeout",
    "outbound_per_instance",
    "outbound_concurrency",
];

impl Limits {
    /// Reads the table `limits` of `parent`; what it does not say is as in `self`.
    pub(super) fn overridden_in(self, parent: &Section<'_>) -> Self {
        let Some(section) = parent.section("limits", &KEYS) else {
            return self;
        };
        let size = |key, example, range| section.parsed(key, example, |text| unit::size(text, &range));
        let time = |key, example, range| section.parsed(key, example, |text| unit::duration(text, &range));
        let optional = |key, example, range| {
            section.parsed(key, example, |text| match text {
                NONE => Ok(None),
                _ => unit::duration(text, &range).map(Some),
            })
        };
        Self {
            timeout: time("timeout", "30s", TIMEOUTS).unwrap_or(self.timeout),
            first_byte: optional("first_byte", "10s", TIMEOUTS).unwrap_or(self.first_byte),
            idle: optional("idle", "30s", IDLES).unwrap_or(self.idle),
            memory: size("memory", "128MiB", MEMORIES).unwrap_or(self.memory),
            stack: section.parsed("stack", "1MiB", stack).unwrap_or(self.stack),
            request_body: size("request_body", "8MiB", REQUEST_BODIES).unwrap_or(self.request_body),
            concurrency: section
                .count("concurrency", CONCURRENCIES)
                .unwrap_or(self.concurrency),
            queue: section.count("queue", QUEUES).unwrap_or(self.queue),
            queue_timeout: time("queue_timeout", "500ms", QUEUE_TIMEOUTS).unwrap_or(self.queue_timeout),
            outbound_per_instance: section
                .count("outbound_per_instance", OUTBOUND_CONCURRENCIES)
                .unwrap_or(self.outbound_per_instance),
            outbound_concurrency: section
                .count("outbound_concurrency", OUTBOUND_CONCURRENCIES)
                .unwrap_or(self.outbound_concurrency),
        }
    }
}

fn stack(text: &str) -> Result<StackSize, Diagnostic> {
    let known = StackSize::ALL.into_iter().find(|size| size.name() == text);
    known.ok_or_else(|| {
        Diagnostic::new(
            Code::InvalidValue,
            format!("there are no stacks of {text:?}"),
            format!("write {}", one_of(&StackSize::ALL.map(StackSize::name))),
        )
    })
}
