//! The harness that every test stands on: a gateway process, clients for it, and its metrics and log.

mod builder;
mod certificates;
mod client;
mod components;
mod dapr;
mod guests;
mod held;
mod log;
mod metrics;
mod process;
mod raw;
mod scripted;
mod upstream;

use std::{
    future::Future,
    time::{Duration, Instant},
};

pub(crate) use builder::Builder;
pub(crate) use certificates::{Authority, OpenSsl};
pub(crate) use client::{Body, Reply, channel, empty, full, is_broken, send_to};
pub(crate) use components::{accepted, assert_refused, check, handler_component, handler_text};
pub(crate) use guests::{compose, example_packages, guest, guest_of_wasip3, middleware, packages_of_wasip3, script};
pub(crate) use log::Event;
pub(crate) use metrics::Metrics;
pub(crate) use process::{Signal, TestGateway, command, output_of, run};
pub(crate) use raw::{RawConnection, status};
pub(crate) use scripted::{Peer, Scripted};
pub(crate) use upstream::Upstream;

/// The time that any wait in a test may last: far above what a slow, busy machine needs, so that reaching
/// it is a failure and never a matter of speed.
const PATIENCE: Duration = Duration::from_secs(180);

/// Pause between two looks at a condition that announces itself in no other way.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The future's output, or a panic that names what was waited for.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("gave up waiting for {what}"),
    }
}

/// Asks until an answer is one that is wanted, which is answered, or panics naming it.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> T, is_wanted: impl Fn(&T) -> bool) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = ask().await;
        if is_wanted(&answer) {
            return answer;
        }
        assert!(Instant::now() < deadline, "gave up waiting for {what}");
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Looks at a condition until it holds, or panics naming it.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    eventually(what, async || condition().await, |holds| *holds).await;
}
