//! Programs as the Common Gateway Interface has them (RFC 3875): core modules of WASI 0.1, and commands of WASI 0.2 and
//! 0.3.

mod answers;
mod bodies;
mod files;
mod languages;
mod limits;
mod request;
mod wasip3;
mod wrong;

use crate::harness::{Builder, TestGateway, script};

/// What the program is built for: each behaviour is the same for both.
const TARGETS: [&str; 2] = ["wasm32-wasip1", "wasm32-wasip2"];

/// A gateway with one worker, the program at `/old/...` and `/new/...`, and a neighbour.
fn both(limits: &str, lines: &str) -> Builder {
    let builder = TestGateway::builder()
        .server("workers = 1")
        .limits(limits)
        .guest("hello");
    let lines = format!("kind = \"cgi\"\n{lines}");
    [("old", TARGETS[0]), ("new", TARGETS[1])]
        .into_iter()
        .fold(builder, |builder, (name, target)| {
            builder
                .package(name, &script(target), &lines)
                .route(&format!("/{name}/{{*rest}}"), name)
        })
}

/// The names of the two.
const BOTH: [&str; 2] = ["old", "new"];

async fn assert_unharmed(gateway: &TestGateway) {
    assert_eq!(gateway.get("/hello").await.text(), "Hello from a package\n");
    for name in BOTH {
        gateway.wait_for_in_flight(name, 0).await;
    }
}
