//! The end of a gateway: what is in flight is finished, and a second signal waits for nothing.

use bytes::Bytes;
use http_body::Frame;
use tokio::net::TcpStream;

use crate::harness::{Reply, Signal, TestGateway, channel, empty, until, within};

/// A gateway that would wait for ever for a guest that never ends.
fn patient() -> TestGateway {
    TestGateway::builder()
        .server("drain_timeout = \"10m\"")
        .limits("timeout = \"10m\"")
        .guest("reads_the_whole_body")
        .guest("hangs")
        .guest("hello")
        .start()
}

async fn draining(gateway: &TestGateway) {
    until("a gateway that is not ready", || async {
        gateway.admin_get("/readyz").await.status == 503
    })
    .await;
}

#[tokio::test]
async fn an_idle_gateway_ends_at_once_with_0() {
    for signal in [Signal::Terminate, Signal::Interrupt] {
        let mut gateway = patient();
        gateway.get("/hello").await;
        gateway.signal(signal);
        assert_eq!(gateway.ended().await.code(), Some(0));
    }
}

#[tokio::test]
async fn idle_connections_do_not_hold_up_the_end() {
    let mut gateway = patient();
    let (mut http1, mut http2) = (gateway.http1().await, gateway.http2().await);
    let request = gateway.request("GET", "/hello").body(empty()).unwrap();
    Reply::of(http1.send_request(request).await.unwrap())
        .await
        .unwrap();
    let uri = format!("http://{}/hello", gateway.address);
    let request = http::Request::get(uri).body(empty()).unwrap();
    Reply::of(http2.send_request(request).await.unwrap())
        .await
        .unwrap();
    gateway.signal(Signal::Terminate);
    assert_eq!(gateway.ended().await.code(), Some(0));
}

#[tokio::test]
async fn what_is_in_flight_is_finished_before_the_end() {
    let mut gateway = patient();
    let (sender, body) = channel();
    let request = gateway
        .request("POST", "/reads-the-whole-body")
        .body(body)
        .unwrap();
    let mut connection = gateway.http1().await;
    let held = tokio::spawn(async move { connection.send_request(request).await });
    gateway.wait_for_in_flight("reads-the-whole-body", 1).await;

    gateway.signal(Signal::Terminate);
    draining(&gateway).await;
    assert_eq!(
        gateway.admin_get("/livez").await.status,
        200,
        "it drains, it is not dead"
    );

    sender.send(Frame::data(Bytes::from("abc"))).await.unwrap();
    drop(sender);
    let response = within("the held request", held).await.unwrap().unwrap();
    assert_eq!(Reply::of(response).await.unwrap().text(), "3");
    assert_eq!(gateway.ended().await.code(), Some(0));
}

#[tokio::test]
async fn new_requests_are_not_taken_while_draining() {
    let mut gateway = patient();
    let mut kept = gateway.http1().await;
    let mut held = gateway.raw().await;
    held.send("GET /hangs HTTP/1.1\r\nhost: x\r\n\r\n").await;
    gateway.wait_for_in_flight("hangs", 1).await;
    gateway.signal(Signal::Terminate);
    draining(&gateway).await;

    until("a listener that is closed", || async {
        TcpStream::connect(gateway.address).await.is_err()
    })
    .await;
    let request = gateway.request("GET", "/hello").body(empty()).unwrap();
    if let Ok(response) = within("a refusal", kept.send_request(request)).await {
        Reply::of(response)
            .await
            .unwrap()
            .assert_error(503, "draining");
    }
    drop(held);
    assert_eq!(gateway.ended().await.code(), Some(0));
}

#[tokio::test]
async fn the_drain_ends_at_its_timeout() {
    let mut gateway = TestGateway::builder()
        .server("drain_timeout = \"300ms\"")
        .limits("timeout = \"10m\"")
        .guest("hangs")
        .guest("spins")
        .start();
    let mut held = Vec::new();
    for guest in ["hangs", "spins"] {
        let mut connection = gateway.raw().await;
        connection
            .send(format!("GET /{guest} HTTP/1.1\r\nhost: x\r\n\r\n"))
            .await;
        gateway.wait_for_in_flight(guest, 1).await;
        held.push(connection);
    }
    gateway.signal(Signal::Terminate);
    assert_eq!(gateway.ended().await.code(), Some(0));
    drop(held);
}

#[tokio::test]
async fn a_second_signal_ends_it_now() {
    for second in [Signal::Terminate, Signal::Interrupt] {
        let mut gateway = patient();
        let mut held = gateway.raw().await;
        held.send("GET /hangs HTTP/1.1\r\nhost: x\r\n\r\n").await;
        gateway.wait_for_in_flight("hangs", 1).await;
        gateway.signal(Signal::Terminate);
        draining(&gateway).await;
        gateway.signal(second);
        assert_ne!(
            gateway.ended().await.code(),
            Some(0),
            "something was cut off"
        );
        drop(held);
    }
}
