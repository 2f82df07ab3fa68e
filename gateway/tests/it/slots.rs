//! What instances are made of when it runs short: the machine's memory, and the slots that packages share.

use std::path::Path;

use tempfile::TempDir;

use crate::harness::{TestGateway, handler_component};

/// Bytes beside what the process has by now: enough for its own needs, and no room for another linear memory.
const A_LITTLE: u64 = 256 << 20;

#[tokio::test]
async fn without_memory_for_another_instance_a_request_is_503_and_is_served_when_there_is_some() {
    let gateway = TestGateway::builder()
        .limits("timeout = \"10m\"")
        .guest("hangs")
        .guest("hello")
        .start();
    assert_eq!(gateway.get("/hello").await.status, 200);
    let mut held = Vec::new();
    let hold = async || {
        let mut connection = gateway.raw().await;
        connection
            .send("GET /hangs HTTP/1.1\r\nhost: x\r\n\r\n")
            .await;
        connection
    };
    held.push(hold().await);
    gateway.wait_for_in_flight("hangs", 1).await;
    let room = gateway.status("VmSize") * 1024 + A_LITTLE;
    let before = gateway.limit_address_space(Some(room));
    // Slots that were made before are taken one after the other.
    let refused = loop {
        held.push(hold().await);
        let reply = gateway.get("/hello").await;
        if reply.status != 200 {
            break reply;
        }
        assert!(held.len() < 200, "there is always room");
    };
    refused.assert_error(503, "overloaded");
    assert!(refused.header("retry-after").is_some());
    gateway.limit_address_space(before);
    assert_eq!(gateway.get("/hello").await.status, 200);
}

/// Memories of one instance of [`write_greedy`]'s component.
const MEMORIES: usize = 20;

/// Writes a component of many memories, whose handler spins if it is to.
fn write_greedy(file: &Path, spins: bool) {
    let body = if spins { "(loop (br 0))" } else { "" };
    let memories: String = (1..MEMORIES)
        .map(|_| "(core instance (instantiate $memory)) ".to_owned())
        .collect();
    let core = format!(
        r#"(core module $memory (memory 1))
          {memories}
          (core module $code (memory 1) (func (export "handle") (param i32 i32) {body}))
          (core instance $code (instantiate $code))"#
    );
    std::fs::write(file, handler_component(&core, "")).unwrap();
}

/// Instances that a package of so many memories may have where two want all: three quarters of the 4,000 memories of
/// wasmtime's pool.
const SHARE: u64 = 150;

#[tokio::test]
async fn a_package_never_holds_the_last_slots_of_those_that_packages_share() {
    let folder = TempDir::new().unwrap();
    let (greedy, other) = (
        folder.path().join("greedy.wasm"),
        folder.path().join("other.wasm"),
    );
    write_greedy(&greedy, true);
    write_greedy(&other, false);
    let lines = "engine = \"copy-on-write\"\nlimits = { timeout = \"10m\", concurrency = 300, queue = 0 }";
    let gateway = TestGateway::builder()
        .package("greedy", &greedy, lines)
        .route("/greedy", "greedy")
        .package("other", &other, lines)
        .route("/other", "other")
        .start();
    let told = [
        ("package", "greedy"),
        ("level", "WARN"),
        ("engine", "copy-on-write"),
    ];
    gateway.wait_for_event(&told).await;
    let mut held = Vec::new();
    for _ in 0..SHARE {
        let mut connection = gateway.raw().await;
        connection
            .send("GET /greedy HTTP/1.1\r\nhost: x\r\n\r\n")
            .await;
        held.push(connection);
    }
    gateway.wait_for_in_flight("greedy", SHARE).await;
    gateway.get("/greedy").await.assert_error(503, "overloaded");
    // The other has an instance: it answers nothing, but it ran.
    gateway
        .get("/other")
        .await
        .assert_error(502, "guest-no-response");
}
