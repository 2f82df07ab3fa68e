//! The time that registries have: a start or reload waits no longer, whatever they do.

use std::time::Duration;

/// The time-outs of one pull or push.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For the head of a response.
    pub(super) head: Duration,
    /// For a small body, after its head.
    pub(super) body: Duration,
    /// For the head of the response to a large upload.
    pub(super) upload: Duration,
    /// For resolving a reference, with redirects, tokens and retries.
    pub(super) lookup: Duration,
    /// The same if the registry has just not answered for another reference.
    pub(super) lookup_again: Duration,
    /// For a blob without progress.
    pub(super) stall: Duration,
    /// For a blob, in addition to its size at the rate `slowest`: a slower registry could block others for any time.
    pub(super) blob: Duration,
    /// The minimum rate of a blob, in bytes per second.
    pub(super) slowest: u64,
}

impl Patience {
    /// The time-out for blobs of this size.
    pub(super) fn for_bytes(&self, bytes: u64) -> Duration {
        self.blob + Duration::from_secs(bytes / self.slowest.max(1))
    }
}

impl Default for Patience {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            head: seconds(30),
            body: seconds(30),
            upload: seconds(600),
            lookup: seconds(90),
            lookup_again: seconds(5),
            stall: seconds(30),
            blob: seconds(60),
            slowest: 128 << 10,
        }
    }
}
