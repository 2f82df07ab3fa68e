//! What a guest writes appears in the gateway's log: a line an event, with package and request id.

use crate::harness::{Reply, TestGateway, empty};

const PACKAGE: (&str, &str) = ("package", "writes-to-its-log");

async fn write(gateway: &TestGateway, target: &str, request_id: &str) -> Reply {
    let request = gateway
        .request("GET", target)
        .header("x-request-id", request_id);
    gateway.send(request.body(empty()).unwrap()).await
}

#[tokio::test]
async fn each_line_is_an_event_with_package_request_and_stream() {
    let gateway = TestGateway::builder().guest("writes_to_its_log").start();
    for request_id in ["first-request", "second-request"] {
        assert_eq!(
            write(&gateway, "/writes-to-its-log", request_id)
                .await
                .status,
            200
        );
        for (stream, message) in [
            ("stdout", "first line on stdout"),
            ("stderr", "first line on stderr"),
            ("stdout", "a line in two parts"),
            ("stderr", "not \u{fffd} utf-8"),
            ("stdout", "no newline at the end"),
        ] {
            let fields = [
                PACKAGE,
                ("request_id", request_id),
                ("stream", stream),
                ("message", message),
            ];
            gateway.wait_for_event(&fields).await;
        }
    }
    let lines = gateway
        .events()
        .iter()
        .filter(|event| event.field("stream").is_some())
        .count();
    assert_eq!(lines, 10, "no line twice, none empty");
}

#[tokio::test]
async fn the_last_words_before_a_panic_are_logged() {
    let gateway = TestGateway::builder().guest("panics").start();
    gateway.get("/panics").await.assert_error(502, "guest-trap");
    let words = [
        ("package", "panics"),
        ("stream", "stderr"),
        ("message", "the guest lost its temper"),
    ];
    gateway.wait_for_event(&words).await;
}

#[tokio::test]
async fn an_endless_line_is_bounded() {
    let gateway = TestGateway::builder().guest("writes_to_its_log").start();
    assert_eq!(
        write(&gateway, "/writes-to-its-log?long=1", "long")
            .await
            .status,
        200
    );
    gateway
        .wait_for_event(&[PACKAGE, ("request_id", "long"), ("stream", "stdout")])
        .await;
    let longest = gateway.log().lines().map(str::len).max().unwrap();
    assert!(
        longest < 512 * 1024,
        "a line of {longest} bytes for a guest's line of a mebibyte"
    );
}

#[tokio::test]
async fn the_log_is_json_lines_when_nobody_watches() {
    let gateway = TestGateway::builder().guest("writes_to_its_log").start();
    write(&gateway, "/writes-to-its-log", "any").await;
    gateway
        .wait_for_event(&[PACKAGE, ("message", "first line on stdout")])
        .await;
    let log = gateway.log();
    assert_eq!(
        log.lines().count(),
        gateway.events().len(),
        "not every line is JSON:\n{log}"
    );
    for event in gateway.events() {
        assert!(
            event.field("timestamp").is_some() && event.field("level").is_some(),
            "{event:?}"
        );
    }
}
