//! The bounds on connections: in all and of one client.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::net::TcpSocket;

use crate::harness::{RawConnection, TestGateway, until};

const HELLO: &str = "GET /hello HTTP/1.1\r\nhost: x\r\n\r\n";

/// A connection from another address of this machine.
pub(crate) async fn from(address: Ipv4Addr, gateway: &TestGateway) -> RawConnection {
    between(address, gateway.address).await
}

async fn between(address: Ipv4Addr, listener: SocketAddr) -> RawConnection {
    let socket = TcpSocket::new_v4().unwrap();
    socket
        .bind(SocketAddr::new(IpAddr::V4(address), 0))
        .unwrap();
    RawConnection::of(socket.connect(listener).await.unwrap())
}

/// Connections that are served and stay open.
async fn served(gateway: &TestGateway, address: Ipv4Addr, count: usize) -> Vec<RawConnection> {
    let mut served = Vec::new();
    for _ in 0..count {
        let mut connection = from(address, gateway).await;
        connection.send(HELLO).await;
        assert_eq!(connection.response().await.status(), 200);
        served.push(connection);
    }
    served
}

async fn assert_refused(gateway: &TestGateway, address: Ipv4Addr) {
    let mut connection = from(address, gateway).await;
    connection.send(HELLO).await;
    let response = connection.response().await;
    assert_eq!(
        (response.status(), response.header("x-wasmgate-error")),
        (503, Some("overloaded")),
        "{response:?}"
    );
    assert_eq!(response.header("retry-after"), Some("1"));
    assert_eq!(connection.rest().await, "");
}

#[tokio::test]
async fn connections_beyond_the_limit_are_answered_overloaded_and_their_places_come_back() {
    let gateway = TestGateway::builder()
        .server("connections = 8\nconnections_per_client = 8\nheader_timeout = \"1m\"")
        .guest("hello")
        .start();
    let home = Ipv4Addr::LOCALHOST;
    let held = served(&gateway, home, 8).await;
    assert_refused(&gateway, home).await;
    assert_refused(&gateway, Ipv4Addr::new(127, 0, 0, 2)).await;
    // The admin listener has places of its own.
    assert_eq!(gateway.admin_get("/readyz").await.status, 200);
    let refused = [("reason", "overloaded")];
    let counted = gateway
        .metrics()
        .await
        .sum("wasmgate_refusals_total", &refused);
    assert!(counted >= 2.0, "{counted}");
    drop(held);
    until("a free place", || async {
        let mut connection = from(home, &gateway).await;
        connection.send(HELLO).await;
        connection.response().await.status() == 200
    })
    .await;
}

#[tokio::test]
async fn one_client_cannot_take_the_places_of_the_others() {
    let gateway = TestGateway::builder()
        .server("connections = 10\nheader_timeout = \"1m\"")
        .guest("hello")
        .start();
    let (greedy, other) = (Ipv4Addr::new(127, 0, 0, 7), Ipv4Addr::new(127, 0, 0, 8));
    let _held = served(&gateway, greedy, 5).await;
    assert_refused(&gateway, greedy).await;
    let _others = served(&gateway, other, 5).await;
}

#[tokio::test]
async fn the_admin_listener_and_that_of_dapr_have_places_for_others_beside_a_greedy_client() {
    let gateway = TestGateway::builder()
        .server("header_timeout = \"10m\"")
        .dapr("listen = \"127.0.0.1:0\"")
        .guest("hello")
        .guest_as("granted", "calls_dapr", "dapr = {}")
        .start();
    for (listener, path) in [
        (gateway.admin, "/livez"),
        (gateway.dapr_address().await, "/v1.0/healthz"),
    ] {
        let mut held = Vec::new();
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        // Half of the most that there may be, and some.
        let is_refused = loop {
            let mut connection = between(Ipv4Addr::new(127, 0, 0, 7), listener).await;
            connection.send(&request).await;
            connection.begun().await;
            if !connection.has_begun() {
                break true;
            }
            if held.len() > 2100 {
                break false;
            }
            held.push(connection);
        };
        assert!(is_refused, "{path}");
        let mut other = between(Ipv4Addr::LOCALHOST, listener).await;
        other.send(&request).await;
        assert!(
            matches!(other.response().await.status(), 200 | 204),
            "{path}"
        );
        assert_eq!(gateway.get("/hello").await.status, 200);
    }
}
