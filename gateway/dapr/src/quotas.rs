//! Quotas: how much one app may store.

use wasmgate_common::AppId;

/// So many bytes and things at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Bytes: names and contents, and [`Quotas::ROW`] for each thing.
    pub bytes: u64,
    /// Things.
    pub items: u64,
}

/// The quotas of one app.
///
/// What is kept counts for who wrote it last, also where several apps share keys. An event counts once for each
/// subscriber: in the subscriber's `queue` until it is taken, and in the publisher's `published` as long as it will be
/// delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quotas {
    /// State.
    pub state: Quota,
    /// Events in the queues of the app's subscriptions, parked ones too.
    pub queue: Quota,
    /// Events of the app that wait in anybody's queue.
    pub published: Quota,
    /// Scheduled jobs.
    pub jobs: Quota,
    /// Locks that are held.
    pub locks: Quota,
    /// Topics that the app subscribes to by itself.
    pub subscriptions: usize,
}

impl Quotas {
    /// The bytes that count for each thing beside its names and its contents: about what a row and its places in
    /// indexes take.
    pub const ROW: u64 = 128;
}

impl Default for Quotas {
    /// So much that what is well-behaved seldom meets it, and a thousand packages that are not share a large disk. An
    /// app that publishes has half of a queue: none fills another's alone.
    fn default() -> Self {
        let quota = |bytes, items| Quota { bytes, items };
        Self {
            state: quota(1 << 30, 5_000_000),
            queue: quota(512 << 20, 2_000_000),
            published: quota(256 << 20, 1_000_000),
            jobs: quota(64 << 20, 100_000),
            locks: quota(64 << 20, 100_000),
            subscriptions: 1_000,
        }
    }
}

/// The kinds of things that are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kept {
    State,
    Queue,
    Published,
    Jobs,
    Locks,
}

impl Kept {
    pub(crate) const ALL: [Self; 5] = [
        Self::State,
        Self::Queue,
        Self::Published,
        Self::Jobs,
        Self::Locks,
    ];

    /// The word for it in the database.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Queue => "queue",
            Self::Published => "published",
            Self::Jobs => "jobs",
            Self::Locks => "locks",
        }
    }

    /// The keys of the limits on its bytes and its number, as the configuration and metrics have them.
    pub(crate) fn keys(self) -> [&'static str; 2] {
        match self {
            Self::State => ["state", "state_items"],
            Self::Queue => ["queue", "queue_events"],
            Self::Published => ["published", "published_events"],
            Self::Jobs => ["job_bytes", "jobs"],
            Self::Locks => ["lock_bytes", "locks"],
        }
    }

    /// The limits that `quotas` have for it.
    pub(crate) fn limits(self, quotas: &Quotas) -> Quota {
        match self {
            Self::State => quotas.state,
            Self::Queue => quotas.queue,
            Self::Published => quotas.published,
            Self::Jobs => quotas.jobs,
            Self::Locks => quotas.locks,
        }
    }

    /// True of what goes away by itself: a caller may try again.
    pub(crate) fn passes(self) -> bool {
        matches!(self, Self::Queue | Self::Published)
    }
}

/// A quota that a write would have gone beyond.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the quota {key} of app {app} is used up: {limit}")]
pub struct QuotaExceeded {
    /// The app whose quota it is.
    pub(crate) app: AppId,
    pub(crate) kept: Kept,
    /// The key of the limit in the configuration.
    pub(crate) key: &'static str,
    pub(crate) limit: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_publisher_fills_the_queue_of_another_alone() {
        let Quotas {
            queue, published, ..
        } = Quotas::default();
        assert!(published.bytes * 2 <= queue.bytes && published.items * 2 <= queue.items);
    }
}
