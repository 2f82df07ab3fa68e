//! Limits on what a client may ask: each has its answer, and a request inside it goes through.

use bytes::Bytes;
use http::Request;
use http_body::Frame;

use crate::harness::{Reply, Signal, TestGateway, channel, empty, full, until, within};

#[tokio::test]
async fn more_than_the_concurrency_is_overloaded_until_a_slot_is_free() {
    let gateway = TestGateway::builder()
        .guest_with(
            "reads_the_whole_body",
            "limits = { concurrency = 1, queue = 0 }",
        )
        .guest("hello")
        .start();
    // Held open by its own client: the slot is taken until the test says otherwise.
    let held = gateway.hold().await;

    let refused = gateway.post("/reads-the-whole-body", "x").await;
    refused.assert_error(503, "overloaded");
    assert!(
        refused
            .header("retry-after")
            .unwrap()
            .parse::<u64>()
            .is_ok_and(|seconds| seconds > 0)
    );
    assert_eq!(
        gateway.get("/hello").await.status,
        200,
        "another package has its own slots"
    );

    held.finish().await;
    gateway.wait_for_in_flight("reads-the-whole-body", 0).await;
    assert_eq!(gateway.post("/reads-the-whole-body", "x").await.text(), "1");
    let labels = [
        ("package", "reads-the-whole-body"),
        ("reason", "overloaded"),
    ];
    assert_eq!(
        gateway
            .metrics()
            .await
            .sum("wasmgate_refusals_total", &labels),
        1.0
    );
}

#[tokio::test]
async fn an_announced_body_beyond_the_limit_is_refused() {
    let gateway = reader_of_at_most("1KiB");
    gateway
        .post("/reads-the-whole-body", vec![b'x'; 1025])
        .await
        .assert_error(413, "body-too-large");
    assert_eq!(
        gateway
            .post("/reads-the-whole-body", vec![b'x'; 1024])
            .await
            .text(),
        "1024"
    );
}

#[tokio::test]
async fn an_announced_body_beyond_the_limit_is_refused_before_it_is_sent() {
    let gateway = reader_of_at_most("1KiB");
    let mut connection = gateway.raw().await;
    connection
        .send("POST /reads-the-whole-body HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n")
        .await;
    assert_eq!(connection.response().await.status(), 413);
}

#[tokio::test]
async fn a_chunked_body_is_refused_where_it_passes_the_limit() {
    let gateway = reader_of_at_most("1KiB");
    let send = async |bytes: usize| {
        let (sender, body) = channel();
        let request = gateway
            .request("POST", "/reads-the-whole-body")
            .body(body)
            .unwrap();
        let pump = tokio::spawn(async move {
            for _ in 0..bytes {
                if sender.send(Frame::data(Bytes::from("x"))).await.is_err() {
                    break;
                }
            }
        });
        let reply = gateway.send(request).await;
        pump.abort();
        reply
    };
    send(1025).await.assert_error(413, "body-too-large");
    assert_eq!(send(1024).await.text(), "1024");
}

#[tokio::test]
async fn an_http2_body_beyond_the_limit_is_refused() {
    let gateway = reader_of_at_most("1KiB");
    let mut connection = gateway.http2().await;
    let uri = format!("http://{}/reads-the-whole-body", gateway.address);
    let request = Request::post(uri).body(full(vec![b'x'; 2048])).unwrap();
    let response = within("a response", connection.send_request(request))
        .await
        .unwrap();
    Reply::of(response)
        .await
        .unwrap()
        .assert_error(413, "body-too-large");
}

fn reader_of_at_most(size: &str) -> TestGateway {
    let limits = format!("request_body = \"{size}\"");
    TestGateway::builder()
        .limits(&limits)
        .guest("reads_the_whole_body")
        .start()
}

#[tokio::test]
async fn a_head_beyond_the_limit_is_431() {
    let gateway = TestGateway::builder()
        .server("request_head = \"8KiB\"")
        .guest("hello")
        .start();
    let with_header_of = async |bytes: usize| {
        let mut connection = gateway.raw().await;
        let value = "v".repeat(bytes);
        let request = format!("GET /hello HTTP/1.1\r\nhost: x\r\nx-long: {value}\r\n\r\n");
        connection.send(request).await;
        crate::harness::status(&connection.head().await)
    };
    assert_eq!(with_header_of(4 * 1024).await, 200);
    assert_eq!(with_header_of(16 * 1024).await, 431);
}

#[tokio::test]
async fn too_many_headers_are_431() {
    let gateway = TestGateway::builder().guest("hello").start();
    let mut connection = gateway.raw().await;
    let headers: String = (0..5_000).map(|n| format!("x-{n}: v\r\n")).collect();
    connection
        .send(format!("GET /hello HTTP/1.1\r\nhost: x\r\n{headers}\r\n"))
        .await;
    assert_eq!(crate::harness::status(&connection.head().await), 431);
    assert_eq!(gateway.get("/hello").await.status, 200);
}

#[tokio::test]
async fn an_oversized_http2_head_is_refused_and_the_next_connection_served() {
    let gateway = TestGateway::builder()
        .server("request_head = \"8KiB\"")
        .guest("hello")
        .start();
    let mut connection = gateway.http2().await;
    let uri = format!("http://{}/hello", gateway.address);
    let long = Request::get(&uri)
        .header("x-long", "v".repeat(64 * 1024))
        .body(empty())
        .unwrap();
    if let Ok(response) = within("a response", connection.send_request(long)).await {
        assert_eq!(response.status(), 431);
    }
    assert_eq!(gateway.get("/hello").await.status, 200);
}

#[tokio::test]
async fn a_head_that_never_ends_is_closed() {
    let gateway = TestGateway::builder()
        .server("header_timeout = \"2s\"")
        .guest("hello")
        .start();
    for beginning in ["GET /hello HTTP/1.1\r\nhost: x\r\nx-slow: ", "GE"] {
        let mut connection = gateway.raw().await;
        connection.send(beginning).await;
        let answer = connection.rest().await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
            "{answer}"
        );
    }
    assert_eq!(gateway.get("/hello").await.status, 200);
}

#[tokio::test]
async fn a_body_that_never_ends_is_a_request_timeout() {
    let gateway = TestGateway::builder()
        .server("workers = 1\nheader_timeout = \"3s\"")
        .limits("timeout = \"4s\"")
        .guest("reads_the_whole_body")
        .start();
    let (sender, body) = channel();
    sender
        .send(Frame::data(Bytes::from("a beginning")))
        .await
        .unwrap();
    let request = gateway
        .request("POST", "/reads-the-whole-body")
        .body(body)
        .unwrap();
    gateway
        .send(request)
        .await
        .assert_error(408, "request-timeout");
    drop(sender);
    gateway.wait_for_in_flight("reads-the-whole-body", 0).await;
    assert_eq!(
        gateway.post("/reads-the-whole-body", "abc").await.text(),
        "3"
    );
}

#[tokio::test]
async fn a_package_may_override_each_limit() {
    let gateway = TestGateway::builder()
        .limits("request_body = \"1KiB\"\ntimeout = \"10m\"")
        .guest_with(
            "reads_the_whole_body",
            "limits = { request_body = \"2KiB\" }",
        )
        .guest_with("hangs", "limits = { timeout = \"200ms\" }")
        .guest("echo")
        .start();
    assert_eq!(
        gateway
            .post("/reads-the-whole-body", vec![b'x'; 2048])
            .await
            .text(),
        "2048"
    );
    gateway.get("/hangs").await.assert_error(504, "deadline");
    gateway
        .post("/echo", vec![b'x'; 2048])
        .await
        .assert_error(413, "body-too-large");
}

#[tokio::test]
async fn the_table_of_descriptors_has_its_size_before_the_first_request() {
    let gateway = TestGateway::builder().guest("hello").start();
    let at_start = gateway.status("FDSize");
    let mut connections = Vec::new();
    for _ in 0..300 {
        let connection = tokio::net::TcpStream::connect(gateway.address).await;
        connections.push(connection.unwrap());
    }
    assert_eq!(gateway.get("/hello").await.status, 200);
    assert_eq!(gateway.status("FDSize"), at_start);
}

/// A reader of whole bodies of which one may be alive, with a place for one more.
fn one_at_a_time(queue: &str) -> TestGateway {
    let limits = format!("limits = {{ concurrency = 1, {queue} }}");
    TestGateway::builder()
        .server("drain_timeout = \"10m\"")
        .guest_with("reads_the_whole_body", &limits)
        .start()
}

async fn waiting(gateway: &TestGateway, count: f64) {
    until("requests that wait", || async {
        let metrics = gateway.metrics().await;
        metrics.sum(
            "wasmgate_queue_waiting",
            &[("package", "reads-the-whole-body")],
        ) == count
    })
    .await;
}

async fn queued(gateway: &TestGateway, result: &str) -> f64 {
    let labels = [("package", "reads-the-whole-body"), ("result", result)];
    let metrics = gateway.metrics().await;
    metrics.sum("wasmgate_queued_requests_total", &labels)
}

#[tokio::test]
async fn a_request_waits_for_an_instance_and_one_more_than_may_wait_is_refused() {
    let gateway = one_at_a_time("queue = 1, queue_timeout = \"1m\"");
    let held = gateway.hold().await;
    let mut raw = gateway.raw().await;
    raw.send("POST /reads-the-whole-body HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nab")
        .await;
    waiting(&gateway, 1.0).await;
    gateway
        .post("/reads-the-whole-body", "x")
        .await
        .assert_error(503, "queue-full");
    held.finish().await;
    assert_eq!(raw.response().await.status(), 200);
    waiting(&gateway, 0.0).await;
    assert_eq!(queued(&gateway, "admitted").await, 1.0);
    assert_eq!(queued(&gateway, "full").await, 1.0);
    assert_eq!(gateway.post("/reads-the-whole-body", "x").await.text(), "1");
}

#[tokio::test]
async fn a_request_that_waits_for_too_long_is_refused() {
    let gateway = one_at_a_time("queue = 5, queue_timeout = \"50ms\"");
    let _held = gateway.hold().await;
    gateway
        .post("/reads-the-whole-body", "x")
        .await
        .assert_error(503, "queue-timeout");
    assert_eq!(queued(&gateway, "late").await, 1.0);
    waiting(&gateway, 0.0).await;
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_the_queue() {
    let gateway = one_at_a_time("queue = 1, queue_timeout = \"1m\"");
    let _held = gateway.hold().await;
    for gone in 1..=3 {
        let mut raw = gateway.raw().await;
        raw.send("GET /reads-the-whole-body HTTP/1.1\r\nhost: x\r\n\r\n")
            .await;
        waiting(&gateway, 1.0).await;
        drop(raw);
        waiting(&gateway, 0.0).await;
        let labels = [("package", "reads-the-whole-body"), ("result", "cancelled")];
        let name = "wasmgate_queued_requests_total";
        gateway.wait_for_metric(name, &labels, gone).await;
    }
}

#[tokio::test]
async fn what_waits_when_the_gateway_ends_is_answered_before_the_end() {
    let mut gateway = one_at_a_time("queue = 1, queue_timeout = \"1m\"");
    let held = gateway.hold().await;
    let mut raw = gateway.raw().await;
    raw.send("GET /reads-the-whole-body HTTP/1.1\r\nhost: x\r\n\r\n")
        .await;
    waiting(&gateway, 1.0).await;
    gateway.signal(Signal::Terminate);
    until("a gateway that is not ready", || async {
        gateway.admin_get("/readyz").await.status == 503
    })
    .await;
    held.finish().await;
    assert_eq!(raw.response().await.status(), 200);
    assert_eq!(gateway.ended().await.code(), Some(0));
}

/// What each of them waits for is held by the one who waits for it.
#[tokio::test]
async fn packages_that_wait_for_each_other_in_a_circle_are_answered_in_the_time_of_a_queue() {
    const ONE: &str =
        "limits = { concurrency = 1, queue_timeout = \"300ms\", timeout = \"60s\" }\ndapr = { invoke = [\"*\"] }";
    let gateway = TestGateway::builder()
        .dapr("mode = \"embedded\"\ndata = \"data\"")
        .guest_as("ping", "calls_dapr", ONE)
        .guest_as("pong", "calls_dapr", ONE)
        .guest("hello")
        .start();
    gateway.ready().await;
    let circle = || {
        let request = gateway
            .request("GET", "/ping")
            .header("x-call", "/v1.0/invoke/pong/method/pong")
            .header("x-send-x-call", "/v1.0/invoke/ping/method/ping")
            .header("x-send-x-send-x-call", "/v1.0/healthz");
        gateway.send(request.body(empty()).unwrap())
    };
    let start = std::time::Instant::now();
    let circles = futures_util::future::join_all((0..8).map(|_| circle()));
    let others = async {
        for _ in 0..50 {
            assert_eq!(gateway.get("/hello").await.status, 200);
        }
    };
    let (circles, ()) = tokio::join!(circles, others);
    for reply in &circles {
        assert!(
            [500, 503].contains(&reply.status.as_u16()),
            "{} {}",
            reply.status,
            reply.text()
        );
    }
    assert!(
        start.elapsed().as_secs() < 50,
        "long before their time is up"
    );
    gateway.wait_for_in_flight("ping", 0).await;
    gateway.wait_for_in_flight("pong", 0).await;
    let straight = gateway
        .request("GET", "/ping")
        .header("x-call", "/v1.0/healthz");
    assert_eq!(
        gateway.send(straight.body(empty()).unwrap()).await.status,
        204
    );
}
