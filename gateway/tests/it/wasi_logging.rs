//! `wasi:logging`: lines that a guest gives to the gateway's log.

use crate::harness::{Builder, TestGateway, empty};

fn logging() -> Builder {
    TestGateway::builder().guest_as("logs", "logs_by_wasi", "")
}

async fn log(gateway: &TestGateway, request_id: &str, lines: usize) {
    let request = gateway
        .request("GET", &format!("/logs?lines={lines}"))
        .header("x-request-id", request_id);
    gateway.send(request.body(empty()).unwrap()).await.is(200);
}

#[tokio::test]
async fn each_line_has_its_level_context_package_and_request() {
    let gateway = logging().environment("RUST_LOG", "guest=trace").start();
    log(&gateway, "first-request", 1).await;
    for (level, name) in [
        ("TRACE", "trace"),
        ("DEBUG", "debug"),
        ("INFO", "info"),
        ("WARN", "warn"),
        ("ERROR", "error"),
        ("ERROR", "critical"),
    ] {
        for message in [&format!("{name} 0"), "its second line"] {
            let fields = [
                ("level", level),
                ("message", message),
                ("context", "till"),
                ("package", "logs"),
                ("request_id", "first-request"),
            ];
            gateway.wait_for_event(&fields).await;
        }
    }
    let context = "ü".repeat(128);
    gateway
        .wait_for_event(&[("message", "of a long context"), ("context", &context)])
        .await;
    gateway
        .wait_for_event(&[("message", "without a version"), ("context", "a\nb")])
        .await;
}

#[tokio::test]
async fn what_the_log_does_not_show_takes_nothing_of_what_a_request_may_log() {
    let gateway = logging().start();
    // A thousand lines are what a request may log: two thousand that are not shown would leave room for none.
    log(&gateway, "quiet", 100).await;
    gateway
        .wait_for_event(&[("message", "without a version"), ("request_id", "quiet")])
        .await;
    let events = gateway.events();
    assert!(events.iter().all(|event| !event.has(&[("level", "DEBUG")])));
}

#[tokio::test]
async fn a_guest_that_logs_without_end_is_cut_and_the_rest_is_counted() {
    let gateway = logging().start();
    log(&gateway, "loud", 2_000).await;
    let labels = [("package", "logs")];
    gateway
        .wait_for_event(&[(
            "message",
            "guests of the package print too much; lines are dropped",
        )])
        .await;
    let shown = |event: &&crate::harness::Event| event.has(&[("request_id", "loud"), ("context", "till")]);
    assert!(gateway.events().iter().filter(shown).count() <= 1_100);
    let dropped = gateway
        .metrics()
        .await
        .sum("wasmgate_guest_output_dropped_lines_total", &labels);
    assert!(dropped > 10_000.0, "{dropped}");
}
