//! A real Dapr for tests: its released sidecar and scheduler, a Redis and a PostgreSQL.
//!
//! Each is a process that ends with the value that holds it, at the latest with the test's process, and that tells its
//! log when the test fails. Each listens at a loopback address of its own ([`Place`]) on the port it has everywhere, so
//! that no two runs meet on a port and a process that was killed comes back where it was.
//!
//! A registry for packages ([`DockerRegistry`]) is beside them.
//!
//! What else a test may lack is told and counted by [`left_out()`].
//!
//! The binaries of Dapr are built by `make dapr`; [`there`] says whether a test has them.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod daprd;
mod docker_registry;
mod left_out;
mod place;
mod postgres;
mod process;
mod redis;
mod resources;
mod scheduler;

use std::{
    future::Future,
    path::PathBuf,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use tokio::sync::Mutex;

pub use daprd::Daprd;
pub use docker_registry::DockerRegistry;
pub use left_out::left_out;
pub use place::Place;
pub use postgres::Postgres;
pub use redis::Redis;
pub use resources::Resources;
pub use scheduler::Scheduler;

/// The variable by which `make test-dapr-sidecar` names the folder of Dapr's binaries.
const BINARIES: &str = "WASMGATE_REAL_DAPR";

/// The time that any wait may last: far above what a slow, busy machine needs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pause between two looks at a condition that announces itself in no other way.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Returns whether this run has a real Dapr, and says so when it has none. A test without it ends here.
pub fn there() -> bool {
    let there = std::env::var_os(BINARIES).is_some();
    if !there {
        left_out("`make test-dapr-sidecar` runs it beside a real Dapr");
    }
    there
}

/// The state that tests at work together share: made by the first, ended with the last.
struct Shared<T>(Mutex<Weak<T>>);

impl<T> Shared<T> {
    const fn new() -> Self {
        Self(Mutex::const_new(Weak::new()))
    }

    async fn get(&self, start: impl Future<Output = T>) -> Arc<T> {
        let mut shared = self.0.lock().await;
        if let Some(running) = shared.upgrade() {
            return running;
        }
        let started = Arc::new(start.await);
        *shared = Arc::downgrade(&started);
        started
    }
}

/// The path of one of Dapr's binaries.
fn binary(name: &str) -> PathBuf {
    let folder = std::env::var_os(BINARIES).expect("the test asked whether a real Dapr is there");
    let path = PathBuf::from(folder).join(name);
    assert!(
        path.is_file(),
        "{} is missing: run `make dapr`",
        path.display()
    );
    path
}

/// Looks at a condition until it holds, or panics naming it.
async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "gave up waiting for {what}");
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
