//! On `wasi:http` 0.3: the host runs the tasks, so that nothing here waits for more than one thing.

mod body;
mod incoming;
mod outbound;
mod serve;

use std::time::Duration;

use wasip3::{clocks::monotonic_clock::wait_for, random::random::get_random_u64};

pub(crate) use body::{Sink, Source};
pub(crate) use incoming::Incoming;
pub(crate) use outbound::send;
pub use serve::serve;

/// Waits in the host.
pub(crate) async fn sleep(duration: Duration) {
    wait_for(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)).await;
}

/// Any number, not to be guessed.
pub(crate) fn random() -> u64 {
    get_random_u64()
}

/// A variable of the environment, as the package's `env` and the gateway give it.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
