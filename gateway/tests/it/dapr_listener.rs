//! The listener of `[dapr] listen`, embedded and beside a sidecar: whose threads it takes, and its end.

use std::net::SocketAddr;

use http::Request;
use serde_json::json;
use tokio::net::TcpStream;

use crate::harness::{Builder, RawConnection, Reply, Signal, TestGateway, full, send_to, until};

/// An address where no sidecar is.
const NOBODY: &str = "http://127.0.0.1:1";

fn beside_nobody() -> Builder {
    TestGateway::builder().dapr(&format!(
        "mode = \"sidecar\"\nsidecar = \"{NOBODY}\"\nlisten = \"127.0.0.1:0\""
    ))
}

fn embedded() -> Builder {
    TestGateway::builder().dapr("listen = \"127.0.0.1:0\"")
}

fn taking(guest: &str) -> String {
    format!(
        r#"env = {{ SUBSCRIPTIONS = '[{{"pubsubname":"pubsub","topic":"{guest}","route":"/events"}}]' }}
           dapr = {{ state = ["statestore"], subscribe = ["pubsub/*"] }}"#
    )
}

/// An event of a topic as a sidecar writes it.
fn event(topic: &str) -> String {
    let event = json!({"id": "e", "specversion": "1.0", "type": "t", "source": "s", "pubsubname": "pubsub",
        "topic": topic, "data": 1});
    event.to_string()
}

/// Hands it to the gateway as a sidecar does.
async fn deliver(address: SocketAddr, topic: &str) -> Reply {
    let request = Request::post(format!("/wasmgate-events/pubsub/{topic}"))
        .header("host", "app")
        .header("content-type", "application/cloudevents+json");
    send_to(address, request.body(full(event(topic))).unwrap()).await
}

async fn closed(address: SocketAddr) {
    until("a listener that is closed", || async {
        TcpStream::connect(address).await.is_err()
    })
    .await;
}

#[tokio::test]
async fn a_guest_that_spins_on_an_event_takes_no_time_of_the_thread_that_serves_metrics() {
    let gateway = beside_nobody()
        .limits("timeout = \"10m\"")
        .guest_as("spinner", "spins_on_deliveries", &taking("spins"))
        .start();
    let port = gateway.dapr_address().await;
    let spinning = tokio::spawn(deliver(port, "spins"));
    gateway.wait_for_in_flight("spinner", 1).await;
    let main = || gateway.processor_ticks("wasmgate");
    let (before, deliveries) = (main(), gateway.processor_ticks("delivery"));
    until("a second of the guest's spinning", || async {
        gateway.processor_ticks("delivery") + main() >= deliveries + before + 100
    })
    .await;
    let taken = main() - before;
    assert!(taken < 20, "the main thread took {taken} of 100 ticks");
    assert_eq!(gateway.admin_get("/metrics").await.status, 200);
    spinning.abort();
}

#[tokio::test]
async fn an_invocation_over_the_embedded_listener_takes_no_time_of_that_thread_either() {
    let gateway = embedded()
        .limits("timeout = \"10m\"")
        .guest("spins")
        .start();
    let port = gateway.dapr_address().await;
    let request = Request::get("/v1.0/invoke/spins/method/x").header("host", "localhost");
    let spinning = tokio::spawn(send_to(port, request.body(full("")).unwrap()));
    gateway.wait_for_in_flight("spins", 1).await;
    let main = || gateway.processor_ticks("wasmgate");
    let (before, deliveries) = (main(), gateway.processor_ticks("delivery"));
    until("a second of the guest's spinning", || async {
        gateway.processor_ticks("delivery") + main() >= deliveries + before + 100
    })
    .await;
    let taken = main() - before;
    assert!(taken < 20, "the main thread took {taken} of 100 ticks");
    spinning.abort();
}

#[tokio::test]
async fn a_request_whose_first_byte_has_arrived_is_answered_at_the_end() {
    for (builder, path) in [
        (beside_nobody(), "/hello"),
        (embedded(), "/v1.0/invoke/hello/method/hello"),
    ] {
        let mut gateway = builder
            .server("drain_timeout = \"10m\"")
            .guest("hello")
            .guest_as("granted", "takes_deliveries", &taking("orders"))
            .start();
        let port = gateway.dapr_address().await;
        let (method, rest) = (
            "G",
            format!("ET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n"),
        );
        let mut idle = RawConnection::to(port).await;
        idle.send(format!("{method}{rest}")).await;
        let answered = idle.response().await;
        assert_eq!(
            (answered.status(), answered.header("connection")),
            (200, None)
        );
        let mut begun = RawConnection::to(port).await;
        begun.send(method).await;
        gateway.signal(Signal::Terminate);
        closed(port).await;
        begun.send(rest).await;
        let last = begun.response().await;
        assert_eq!(
            (last.status(), last.body.as_str()),
            (200, "Hello from a package\n")
        );
        assert_eq!(last.header("connection"), Some("close"), "{last:?}");
        assert_eq!(begun.rest().await, "");
        assert_eq!(idle.rest().await, "");
        assert_eq!(gateway.ended().await.code(), Some(0));
    }
}

#[tokio::test]
async fn events_are_taken_as_long_as_public_requests_are_being_finished() {
    let mut gateway = beside_nobody()
        .server("drain_timeout = \"10m\"")
        .guest("reads_the_whole_body")
        .guest_as("taker", "traps_on_deliveries", &taking("orders"))
        .start();
    let port = gateway.dapr_address().await;
    let held = gateway.hold().await;
    // A sidecar keeps its connection: it is not told that it ends before there is nothing left to deliver for.
    let mut kept = RawConnection::to(port).await;
    for is_ending in [false, true] {
        if is_ending {
            gateway.signal(Signal::Terminate);
            closed(gateway.address).await;
        }
        let event = event("orders");
        kept.send(format!(
            "POST /wasmgate-events/pubsub/orders HTTP/1.1\r\nhost: app\r\ncontent-type: application/cloudevents+json\r\n\
             content-length: {}\r\n\r\n{event}",
            event.len()
        ))
        .await;
        let taken = kept.response().await;
        // The guest traps on it, which its sender is told.
        assert_eq!((taken.status(), taken.header("connection")), (200, None));
        assert_eq!(taken.body, r#"{"status":"RETRY"}"#);
    }
    let traps = gateway
        .metrics()
        .await
        .sum("wasmgate_guest_traps_total", &[("package", "taker")]);
    assert_eq!(traps, 2.0);

    held.finish().await;
    assert_eq!(kept.rest().await, "");
    assert_eq!(gateway.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_head_that_takes_too_long_is_answered_408() {
    for builder in [beside_nobody(), embedded()] {
        let gateway = builder
            .server("header_timeout = \"2s\"")
            .guest_as("granted", "takes_deliveries", &taking("orders"))
            .start();
        let mut slow = RawConnection::to(gateway.dapr_address().await).await;
        slow.send("GET /dapr/subscribe HTTP/1.1\r\nhost: localhost\r\n")
            .await;
        let answer = slow.response().await;
        assert_eq!(
            (answer.status(), answer.header("connection")),
            (408, Some("close"))
        );
        assert_eq!(slow.rest().await, "");
    }
}
