//! Quotas: how much a package may store in the embedded building blocks.

use wasmgate_dapr::{Quota, Quotas};

use super::{reader::Section, unit};

/// The keys of `quotas`.
const KEYS: [&str; 11] = [
    "state",
    "state_items",
    "queue",
    "queue_events",
    "published",
    "published_events",
    "jobs",
    "job_bytes",
    "locks",
    "lock_bytes",
    "subscriptions",
];

/// The largest size: no disk is larger, and all of them added up are still a number of SQLite.
const MAX_BYTES: u64 = 1 << 50;

/// The largest number of things.
const MAX_ITEMS: usize = 1_000_000_000_000;

/// Subscriptions at most: each is a task, and its rules stay in memory.
const MAX_SUBSCRIPTIONS: usize = 100_000;

/// Reads the table `quotas` of a section; what it does not name is as in `defaults`.
pub(super) fn read(section: &Section<'_>, defaults: Quotas) -> Quotas {
    let Some(quotas) = section.section("quotas", &KEYS) else {
        return defaults;
    };
    let bytes = |key, example, default| {
        let read = quotas.parsed(key, example, |text| unit::size(text, &(0..=MAX_BYTES)));
        read.unwrap_or(default)
    };
    let items = |key, default| {
        let read = quotas.count(key, 0..=MAX_ITEMS);
        read.map_or(default, |count| count as u64)
    };
    let quota = |(size, example, default_size), (number, default)| Quota {
        bytes: bytes(size, example, default_size),
        items: items(number, default),
    };
    let Quotas {
        state,
        queue,
        published,
        jobs,
        locks,
        subscriptions,
    } = defaults;
    Quotas {
        state: quota(("state", "1GiB", state.bytes), ("state_items", state.items)),
        queue: quota(
            ("queue", "512MiB", queue.bytes),
            ("queue_events", queue.items),
        ),
        published: quota(
            ("published", "256MiB", published.bytes),
            ("published_events", published.items),
        ),
        jobs: quota(("job_bytes", "64MiB", jobs.bytes), ("jobs", jobs.items)),
        locks: quota(("lock_bytes", "64MiB", locks.bytes), ("locks", locks.items)),
        subscriptions: quotas
            .count("subscriptions", 0..=MAX_SUBSCRIPTIONS)
            .unwrap_or(subscriptions),
    }
}
