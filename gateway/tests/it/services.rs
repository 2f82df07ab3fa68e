//! Components of `wasi:http/service@0.3`: what holds for those of WASI 0.2 holds for them.

mod answers;
mod bodies;
mod calls;
mod composed;
mod doors;
mod images;
mod limits;
mod middleware;
mod reuse;
mod rewritten;
mod world;

use crate::harness::{Builder, TestGateway, guest};

/// A gateway with one worker, a service that does what its path says at `/new/...`, and a neighbour.
fn beside_hello(limits: &str, lines: &str) -> Builder {
    TestGateway::builder()
        .server("workers = 1")
        .limits(limits)
        .package("new", &guest("p3_torments"), lines)
        .route("/new/{*rest}", "new")
        .guest("hello")
}

async fn assert_unharmed(gateway: &TestGateway) {
    assert_eq!(gateway.get("/hello").await.text(), "Hello from a package\n");
    gateway.wait_for_in_flight("new", 0).await;
}
