//! The time that registries have: a start or reload waits no longer, whatever they do.

use std::time::Duration;

/// The bounds of one pull or push.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Until the head of an answer is there.
    pub(super) head: Duration,
    /// For a small body, once its head is there.
    pub(super) body: Duration,
    /// Until the head of the answer to a large upload is there.
    pub(super) upload: Duration,
    /// For what one reference leads to, with all redirections, tokens and tries.
    pub(super) lookup: Duration,
    /// The same where another reference's registry has just not answered, and is the same one.
    pub(super) lookup_again: Duration,
    /// For a blob to stand still.
    pub(super) stall: Duration,
    /// For a blob besides what its bytes take at `slowest`: a registry that hands out less keeps others waiting for as
    /// long as it likes.
    pub(super) blob: Duration,
    /// Bytes of a blob a second, at least.
    pub(super) slowest: u64,
}

impl Patience {
    /// The time that so many bytes of blobs may take.
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
