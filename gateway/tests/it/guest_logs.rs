//! The output of a guest appears in the gateway's log: a line an event, with package and request id.

use std::time::Instant;

use crate::harness::{Reply, Signal, TestGateway, empty, full, until};

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
            // What follows a carriage return would stand in the place of the log's own words.
            ("stdout", "one thing\\ranother"),
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
    assert_eq!(lines, 12, "no line twice, none empty");
}

#[tokio::test]
async fn what_the_sdks_guests_print_without_a_line_end_is_not_lost() {
    let gateway = TestGateway::builder()
        .guest("prints_without_a_line_end")
        .route("/{*rest}", "prints-without-a-line-end")
        .start();
    for (method, path, message) in [
        ("GET", "/at-once", "at once"),
        ("POST", "/waits", "after all"),
        ("GET", "/streams", "before, and after"),
        ("GET", "/fails", "nothing works"),
    ] {
        let request = gateway.request(method, path).header("x-request-id", path);
        gateway.send(request.body(full("all")).unwrap()).await;
        let said = [
            ("request_id", path),
            ("stream", "stdout"),
            ("message", message),
        ];
        gateway.wait_for_event(&said).await;
    }
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

#[tokio::test]
async fn a_flood_of_lines_is_cut_and_told_in_one_line() {
    let gateway = TestGateway::builder().guest("floods_its_log").start();
    assert_eq!(gateway.get("/floods-its-log").await.status, 200);
    let package = ("package", "floods-its-log");
    let told = [
        package,
        (
            "message",
            "guests of the package print too much; lines are dropped",
        ),
    ];
    gateway.wait_for_event(&told).await;
    assert!(
        gateway.log().len() < 1 << 20,
        "{} bytes",
        gateway.log().len()
    );
    let lines = gateway
        .events()
        .iter()
        .filter(|event| event.has(&[package]))
        .count();
    assert!((1_000..1_100).contains(&lines), "{lines}");
    let metrics = gateway.metrics().await;
    let dropped = metrics.sum("wasmgate_guest_output_dropped_lines_total", &[package]);
    // Every line is in the log, which has one more about the others, or is counted.
    assert_eq!(lines as f64 - 1.0 + dropped, 512.0 * 1024.0);
}

#[tokio::test]
async fn many_requests_of_one_package_share_a_budget_and_others_keep_theirs() {
    let gateway = TestGateway::builder()
        .guest("floods_its_log")
        .guest("writes_to_its_log")
        .start();
    let started = Instant::now();
    let floods = (0..60).map(|_| gateway.get("/floods-its-log"));
    futures_util::future::join_all(floods).await;
    let seconds = started.elapsed().as_secs_f64();
    write(&gateway, "/writes-to-its-log", "beside").await;
    let beside = [
        PACKAGE,
        ("request_id", "beside"),
        ("message", "first line on stdout"),
    ];
    gateway.wait_for_event(&beside).await;
    let package = [("package", "floods-its-log")];
    let lines = gateway
        .events()
        .iter()
        .filter(|event| event.has(&package))
        .count();
    // Lines of two bytes and what comes with them: 4 MiB at once, and 1 MiB a second.
    let may_be = 16_400.0 + 4_100.0 * (seconds + 1.0);
    assert!((lines as f64) < may_be, "{lines} in {seconds} s");
}

#[tokio::test]
async fn a_log_that_nobody_reads_stops_nobody() {
    let mut gateway = TestGateway::builder()
        .guest("floods_its_log")
        .guest("hello")
        .start();
    gateway.stop_reading_the_log();
    // A pipe takes 64 KiB, and what may wait is some megabytes.
    let dropped = "wasmgate_log_dropped_lines_total";
    until("lines are dropped", || async {
        let floods = (0..8).map(|_| gateway.get("/floods-its-log"));
        for reply in futures_util::future::join_all(floods).await {
            assert_eq!(reply.status, 200);
        }
        gateway.metrics().await.sum(dropped, &[]) > 0.0
    })
    .await;
    assert_eq!(gateway.get("/hello").await.status, 200);
    gateway.signal(Signal::Terminate);
    assert!(gateway.ended().await.success());
}

#[tokio::test]
async fn the_last_lines_are_in_the_log_when_the_gateway_ends() {
    let mut gateway = TestGateway::builder().guest("writes_to_its_log").start();
    write(&gateway, "/writes-to-its-log", "last").await;
    gateway.signal(Signal::Terminate);
    assert!(gateway.ended().await.success());
    let last = [PACKAGE, ("message", "no newline at the end")];
    gateway.wait_for_event(&last).await;
    let draining = [("message", "draining: no new connections are taken")];
    gateway.wait_for_event(&draining).await;
}

#[tokio::test]
async fn a_guest_that_is_refused_in_a_loop_has_no_more_room_in_the_log_than_one_that_prints() {
    let gateway = TestGateway::builder().guest("calls_many").start();
    // Far more than there is room for, however slowly they come: room comes back by the second.
    let (requests, calls) = (5, 20_000);
    let host = ["a"; 4].map(|label| label.repeat(60)).join(".");
    for _ in 0..requests {
        gateway
            .get(&format!("/calls-many?to=http://{host}/&n={calls}"))
            .await;
    }
    let told = [(
        "message",
        "guests of the package print too much; lines are dropped",
    )];
    gateway.wait_for_event(&told).await;
    let refused = gateway.events();
    let refused = refused
        .iter()
        .filter(|event| event.field("message") == Some("an outbound request was refused"));
    let refused = refused.count();
    assert!((1..requests * calls).contains(&refused), "{refused}");
}
