//! Services with an image, and behind a snapshot of their start-up.

use crate::{
    harness::{Builder, TestGateway},
    reload::reload,
};

fn much_data(lines: &str) -> Builder {
    TestGateway::builder()
        .server("workers = 2")
        .guest_as("much", "p3_carries_much_data", lines)
        .guest("hello")
}

#[tokio::test]
async fn a_service_finds_its_data_untouched_in_every_request_and_after_every_reload() {
    let gateway = much_data("").start();
    for (lines, prepared) in [
        ("", 0),
        ("snapshot = true", 1),
        ("engine = \"copy-on-write\"", 0),
        ("engine = \"copy-on-write\"\nsnapshot = true", 1),
        ("", 0),
    ] {
        much_data(lines).write_to(gateway.folder());
        assert_eq!(reload(&gateway).await.status, 200, "{lines}");
        let requests = (0..30).map(|_| gateway.get("/much"));
        for reply in futures_util::future::join_all(requests).await {
            let expected = format!("0 other, prepared {prepared}");
            assert_eq!(reply.text(), expected, "{lines}");
        }
        assert_eq!(gateway.get("/hello").await.status, 200);
    }
}
