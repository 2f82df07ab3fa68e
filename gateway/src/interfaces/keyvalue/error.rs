//! The errors of `wasi:keyvalue`.

use http::Response;
use wasmgate_dapr::Body;
use wasmtime::component::{ComponentType, Lift, Lower};

use crate::interfaces::answer;

/// `wasi:keyvalue/store.error`.
#[derive(Debug, Clone, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(variant)]
pub(super) enum Error {
    /// There is no bucket of this name.
    #[component(name = "no-such-store")]
    NoSuchStore,
    /// The package has no buckets.
    #[component(name = "access-denied")]
    AccessDenied,
    /// Anything else, in words.
    #[component(name = "other")]
    Other(String),
}

/// The words of those who did not reach a store, or not in time, in lower case: of clients in Go, and of the gateway's
/// own.
const OF_THE_WAY: [&str; 11] = [
    "timeout",
    "timed out",
    "deadline exceeded",
    "dial ",
    "connect",
    "broken pipe",
    "no such host",
    "no route to host",
    "conn closed",
    "eof",
    "err_sidecar_",
];

impl Error {
    /// Returns whether it tells of the way to a store, so that it is not known what the store has done.
    pub(super) fn is_of_the_way(&self) -> bool {
        match self {
            Self::NoSuchStore | Self::AccessDenied => false,
            Self::Other(words) => {
                let words = words.to_lowercase();
                OF_THE_WAY.iter().any(|of| words.contains(of))
            }
        }
    }

    /// An error in words.
    pub(super) fn other(error: impl ToString) -> Self {
        Self::Other(error.to_string())
    }

    /// The error that an answer is.
    pub(super) async fn of(response: Response<Body>) -> Self {
        Self::Other(answer::words(response).await)
    }
}
