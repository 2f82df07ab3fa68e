//! Waiting.

use std::time::Duration;

use crate::host;

/// Waits in the host, leaving the worker to others; under `cargo test` it returns at once, so that
/// tests take no longer than the work they test.
///
/// ```
/// use std::time::Duration;
/// use wasmgate_sdk::{Request, Router, testing, time};
///
/// let app = Router::new().get("/slow", |_| async {
///     time::sleep(Duration::from_secs(60)).await;
///     "done"
/// });
/// assert_eq!(testing::call(&app, Request::get("/slow")).text(), "done");
/// ```
pub async fn sleep(duration: Duration) {
    host::sleep(duration).await;
}
