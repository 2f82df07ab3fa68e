//! Answers that go on for as long as their events come (`limits.idle`), and the time until an answer begins
//! (`limits.first_byte`).

use std::process::{Command, Output};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use crate::{
    harness::{Builder, Reply, Signal, TestGateway, channel, empty, is_broken, until, within},
    reload::change,
};

/// curl's exit codes for a body that broke off, over HTTP/1.1 and over HTTP/2.
const BROKEN_OFF: [i32; 2] = [18, 92];

/// Both versions of HTTP, as curl is told of them.
const VERSIONS: [&str; 2] = ["--http1.1", "--http2-prior-knowledge"];

/// A package `streams-events` with these limits.
fn streams(limits: &str) -> Builder {
    TestGateway::builder()
        .limits(limits)
        .guest("streams_events")
        .guest("hello")
}

/// What curl gets of a stream.
async fn curl(gateway: &TestGateway, version: &str, target: &str) -> Output {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--no-buffer", "--max-time", "60", version])
        .arg(format!("http://{}{target}", gateway.address));
    let output = tokio::task::spawn_blocking(move || curl.output());
    output.await.unwrap().expect("curl runs")
}

/// The events in a body.
fn events(body: &[u8]) -> usize {
    String::from_utf8_lossy(body).matches("data: ").count()
}

/// Begins a stream.
async fn begin(gateway: &TestGateway, target: &str) -> Response<Incoming> {
    let request = gateway.request("GET", target).body(empty()).unwrap();
    let response = gateway.start_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    response
}

/// The next event of a stream that lives.
async fn next(stream: &mut Response<Incoming>) -> Bytes {
    let frame = within("an event", stream.body_mut().frame()).await;
    frame.unwrap().unwrap().into_data().unwrap()
}

#[tokio::test]
async fn an_event_stream_outlives_the_timeout_of_its_package() {
    let gateway = streams("timeout = \"2s\"\nidle = \"20s\"").start();
    for version in VERSIONS {
        let output = curl(&gateway, version, "/streams-events?n=30&every=100").await;
        assert_eq!(output.status.code(), Some(0), "{version}");
        assert_eq!(events(&output.stdout), 30, "{version}");
    }
    gateway.wait_for_in_flight("streams-events", 0).await;
}

#[tokio::test]
async fn without_idle_a_stream_is_cut_at_its_timeout() {
    let gateway = streams("timeout = \"3s\"").start();
    for (version, code) in VERSIONS.into_iter().zip(BROKEN_OFF) {
        let output = curl(&gateway, version, "/streams-events?n=1000&every=100").await;
        assert_eq!(output.status.code(), Some(code), "{version}");
    }
    let cut = [("package", "streams-events"), ("reason", "deadline")];
    gateway.wait_for_event(&cut).await;
}

#[tokio::test]
async fn a_package_takes_back_what_all_have() {
    let gateway = TestGateway::builder()
        .limits("idle = \"20s\"\nfirst_byte = \"1ms\"")
        .guest_with(
            "streams_events",
            "limits = { timeout = \"3s\", idle = \"none\", first_byte = \"none\" }",
        )
        .start();
    let output = curl(&gateway, VERSIONS[0], "/streams-events?n=1000&every=100").await;
    assert_eq!(output.status.code(), Some(BROKEN_OFF[0]));
    let cut = [("package", "streams-events"), ("reason", "deadline")];
    gateway.wait_for_event(&cut).await;
}

#[tokio::test]
async fn a_stream_that_stands_still_is_cut_and_its_instance_is_gone() {
    for then in ["stalls", "spins"] {
        let gateway = streams("timeout = \"10m\"\nidle = \"2s\"").start();
        let target = format!("/streams-events?n=3&every=1&then={then}");
        for (version, code) in VERSIONS.into_iter().zip(BROKEN_OFF) {
            let output = curl(&gateway, version, &target).await;
            assert_eq!(output.status.code(), Some(code), "{then} {version}");
            assert_eq!(events(&output.stdout), 3, "{then} {version}");
            gateway.wait_for_in_flight("streams-events", 0).await;
        }
        let package = ("package", "streams-events");
        let cut = [package, ("reason", "idle-timeout"), ("level", "WARN")];
        gateway.wait_for_event(&cut).await;
        gateway
            .wait_for_metric("wasmgate_timeouts_total", &[package], 2)
            .await;
        assert_eq!(gateway.get("/hello").await.status, 200);
    }
}

#[tokio::test]
async fn what_a_guest_does_after_its_stream_has_a_deadline() {
    let gateway = streams("timeout = \"2s\"\nidle = \"10m\"").start();
    let output = curl(
        &gateway,
        VERSIONS[0],
        "/streams-events?n=30&every=100&then=works",
    )
    .await;
    assert_eq!(
        (output.status.code(), events(&output.stdout)),
        (Some(0), 30)
    );
    gateway.wait_for_in_flight("streams-events", 0).await;
    let late = [("package", "streams-events"), ("reason", "deadline")];
    gateway.wait_for_event(&late).await;
}

#[tokio::test]
async fn a_stream_that_nobody_gets_has_a_deadline() {
    let gateway = streams("timeout = \"3s\"\nidle = \"10m\"").start();
    let target = "/streams-events?n=100000&every=10";
    let request = gateway.request("HEAD", target).body(empty()).unwrap();
    assert_eq!(gateway.send(request).await.status, 200);
    gateway.wait_for_in_flight("streams-events", 0).await;
    let late = [("package", "streams-events"), ("reason", "deadline")];
    gateway.wait_for_event(&late).await;
}

#[tokio::test]
async fn a_client_that_leaves_a_stream_ends_its_guest() {
    let gateway = streams("idle = \"10m\"").start();
    let mut stream = begin(&gateway, "/streams-events?n=1&every=1&then=stalls").await;
    next(&mut stream).await;
    gateway.wait_for_in_flight("streams-events", 1).await;
    drop(stream);
    gateway.wait_for_in_flight("streams-events", 0).await;
}

#[tokio::test]
async fn a_reader_that_is_slow_is_not_taken_for_a_guest_that_stands_still() {
    const TOTAL: usize = 64 << 20;
    let gateway = streams("idle = \"2s\"").guest("sends_bytes").start();
    let mut slow = begin(&gateway, &format!("/sends-bytes?n={TOTAL}")).await;
    // Twice as long as a guest may stand still passes while nobody reads.
    for _ in 0..2 {
        let stalled = curl(
            &gateway,
            VERSIONS[0],
            "/streams-events?n=1&every=1&then=stalls",
        )
        .await;
        assert_eq!(stalled.status.code(), Some(BROKEN_OFF[0]));
    }
    let mut received = 0;
    while let Some(frame) = within("the bytes", slow.body_mut().frame()).await {
        received += frame.unwrap().into_data().unwrap().len();
    }
    assert_eq!(received, TOTAL);
}

#[tokio::test]
async fn a_client_that_stands_still_in_its_upload_is_the_one_that_is_late() {
    let gateway = TestGateway::builder()
        .limits("idle = \"3s\"")
        .guest("echo")
        .start();
    let (sender, body) = channel();
    let request = gateway.request("POST", "/echo").body(body).unwrap();
    let mut echo = gateway.start_request(request).await.unwrap();
    for word in ["one", "two"] {
        sender.send(Frame::data(Bytes::from(word))).await.unwrap();
        assert_eq!(next(&mut echo).await, word);
    }
    assert!(is_broken(Ok(echo)).await);
    let late = [("package", "echo"), ("reason", "request-timeout")];
    gateway.wait_for_event(&late).await;
}

#[tokio::test]
async fn an_answer_that_does_not_begin_in_time_is_first_byte_timeout() {
    let gateway = streams("timeout = \"10m\"\nfirst_byte = \"2s\"")
        .guest("hangs")
        .guest("spins")
        .guest("reads_the_whole_body")
        .start();
    for guest in ["hangs", "spins"] {
        gateway
            .get(&format!("/{guest}"))
            .await
            .assert_error(504, "first-byte-timeout");
        gateway.wait_for_in_flight(guest, 0).await;
        let late = [("package", guest), ("reason", "first-byte-timeout")];
        gateway.wait_for_event(&late).await;
        let package = [("package", guest)];
        gateway
            .wait_for_metric("wasmgate_timeouts_total", &package, 1)
            .await;
    }
    // Whoever does not send its request is late itself.
    let (_sender, body) = channel();
    let request = gateway
        .request("POST", "/reads-the-whole-body")
        .body(body)
        .unwrap();
    gateway
        .send(request)
        .await
        .assert_error(408, "request-timeout");
    // What has begun in time may go on.
    let output = curl(&gateway, VERSIONS[0], "/streams-events?n=30&every=100").await;
    assert_eq!(
        (output.status.code(), events(&output.stdout)),
        (Some(0), 30)
    );
}

#[tokio::test]
async fn a_drain_lets_streams_go_on_and_ends_them_at_its_timeout() {
    let mut gateway = streams("timeout = \"3s\"\nidle = \"20s\"")
        .server("drain_timeout = \"5s\"")
        .start();
    let endless = "/streams-events?n=1000000&every=20";
    let mut stream = begin(&gateway, endless).await;
    let mut connection = gateway.http2().await;
    let uri = format!("http://{}{endless}", gateway.address);
    let request = Request::get(uri).body(empty()).unwrap();
    let mut second = connection.send_request(request).await.unwrap();
    gateway.signal(Signal::Terminate);
    until("a gateway that is not ready", || async {
        gateway.admin_get("/readyz").await.status == 503
    })
    .await;
    for stream in [&mut stream, &mut second] {
        for _ in 0..5 {
            next(stream).await;
        }
    }
    assert!(is_broken(Ok(stream)).await);
    assert!(is_broken(Ok(second)).await);
    assert_eq!(gateway.ended().await.code(), Some(1), "something was cut");
    let told = [
        ("package", "streams-events"),
        ("message", "requests in flight are cut"),
    ];
    gateway.wait_for_event(&told).await;
}

#[tokio::test]
async fn a_reload_ends_the_streams_of_what_it_replaces_and_no_others() {
    let with = |colour: &str| {
        streams("idle = \"20s\"")
            .server("drain_timeout = \"1s\"")
            .guest_as(
                "replaced",
                "streams_events",
                &format!("env = {{ COLOUR = \"{colour}\" }}"),
            )
    };
    let gateway = with("red").start();
    let endless = "n=1000000&every=20";
    let mut replaced = begin(&gateway, &format!("/replaced?{endless}")).await;
    let mut kept = begin(&gateway, &format!("/streams-events?{endless}")).await;
    change(&gateway, &with("blue")).await;
    next(&mut replaced).await;
    assert!(is_broken(Ok(replaced)).await);
    let cut = [("package", "replaced"), ("reason", "package-replaced")];
    gateway.wait_for_event(&cut).await;
    gateway.wait_for_in_flight("replaced", 0).await;
    for _ in 0..50 {
        next(&mut kept).await;
    }
    let reply = gateway.get("/replaced?n=1&every=1").await;
    assert_eq!(events(&Reply::text(&reply).into_bytes()), 1);
}
