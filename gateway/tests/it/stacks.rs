//! How deep a guest's functions may call each other.

use crate::harness::{TestGateway, run, until};

/// Calls that need more than half a megabyte of stack, and fewer than eight.
const DEEP: &str = "?depth=40000";

#[tokio::test]
async fn a_package_calls_as_deep_as_its_stack_and_is_told_how_to_have_a_larger_one() {
    let deep = "limits = { stack = \"8MiB\" }";
    let mapped = "engine = \"copy-on-write\"\nlimits = { stack = \"8MiB\" }";
    let gateway = TestGateway::builder()
        .guest_as("usual", "recurses", "")
        .guest_as("deep", "recurses", deep)
        .guest_as("mapped", "recurses", mapped)
        .start();
    for _ in 0..3 {
        // More than a quarter of a megabyte, by which JSON of 600 levels was read no more.
        assert_eq!(gateway.get("/usual?depth=6000").await.text(), "6000");
        gateway
            .get(&format!("/usual{DEEP}"))
            .await
            .assert_error(502, "guest-trap");
        for path in ["/deep", "/mapped"] {
            let reply = gateway.get(&format!("{path}{DEEP}")).await;
            assert_eq!(reply.text(), "40000", "{path}");
        }
    }
    until("the log has the remedy", || async {
        gateway
            .log()
            .contains("raise `stack` in the package's `limits`")
    })
    .await;
}

#[tokio::test]
async fn a_reload_gives_a_package_another_stack() {
    let builder = |lines| TestGateway::builder().guest_as("one", "recurses", lines);
    let gateway = builder("").start();
    let path = format!("/one{DEEP}");
    gateway.get(&path).await.assert_error(502, "guest-trap");
    builder("limits = { stack = \"8MiB\" }").write_to(gateway.folder());
    assert_eq!(crate::reload::reload(&gateway).await.status, 200);
    assert_eq!(gateway.get(&path).await.text(), "40000");
}

#[test]
fn a_stack_that_is_not_to_be_had_is_refused_with_those_that_are() {
    let folder = tempfile::tempdir().unwrap();
    TestGateway::builder()
        .guest_with("hello", "limits = { stack = \"3MiB\" }")
        .write_to(folder.path());
    let output = run(folder.path(), &["check"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{told}");
    assert!(told.contains("package.hello.limits.stack"), "{told}");
    assert!(told.contains("\"512KiB\", \"1MiB\""), "{told}");
}
