//! Doors beside WASI, for guests of WASI 0.3 as for those of 0.2: keys, configuration, the log, folders.

use crate::harness::{Builder, TestGateway, until};

fn visited(lines: &str) -> Builder {
    TestGateway::builder()
        .guest_as("visits", "p3_asks_at_every_door", lines)
        .file("assets/page.txt", "a page")
}

const GRANTED: &str = r#"env = { GREETING = "Moin" }
    keyvalue = { default = "statestore" }
    files = { "/" = "assets" }
    dapr = { state = ["statestore"] }"#;

#[tokio::test]
async fn a_guest_of_wasi_0_3_goes_through_every_door_that_is_granted() {
    let gateway = visited(GRANTED).start();
    for visit in 1..=3 {
        let told = gateway.get("/visits").await.is(200).text();
        assert_eq!(told, format!("Moin {visit} {visit} a page"));
    }
    until("its words in the log", || async {
        gateway.log().contains("Moin 3 3 a page")
    })
    .await;
}

#[tokio::test]
async fn doors_that_are_not_granted_stay_closed_to_it() {
    let without = |door: &str| GRANTED.replace(door, &format!("# {door}"));
    let closed = visited("").start();
    let told = closed.get("/visits").await.is(200).text();
    assert_eq!(told, "Error::AccessDenied");
    let without_files = visited(&without("files")).start();
    let told = without_files.get("/visits").await.is(200).text();
    assert!(!told.contains("page"), "{told}");
    let without_words = visited(&without("env")).start();
    let told = without_words.get("/visits").await.is(200).text();
    assert_eq!(told, " 1 1 a page");
}
