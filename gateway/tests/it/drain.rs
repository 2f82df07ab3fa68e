//! The end of a gateway: what is in flight is finished, and a second signal waits for nothing.

use std::{
    net::SocketAddr,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::harness::{Event, Reply, Signal, TestGateway, command, empty, until, within};

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
async fn a_gateway_whose_terminal_is_closed_ends() {
    let folder = TempDir::new().unwrap();
    TestGateway::builder()
        .guest("hello")
        .write_to(folder.path());
    let gateway = command(folder.path(), &["up"]);
    // It gives what it runs a terminal, which is gone when it is.
    let mut terminal = Command::new("script");
    terminal
        .args([
            "--quiet",
            "--flush",
            "--command",
            "exec \"$GATEWAY\" up",
            "/dev/null",
        ])
        .env("GATEWAY", gateway.get_program())
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut gateway = TestGateway::spawn(terminal);
    assert_eq!(gateway.get("/hello").await.status, 200);
    gateway.kill();
    until("a gateway that has ended", || async {
        TcpStream::connect(gateway.address).await.is_err()
    })
    .await;
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
    let held = gateway.hold().await;

    gateway.signal(Signal::Terminate);
    draining(&gateway).await;
    assert_eq!(
        gateway.admin_get("/livez").await.status,
        200,
        "it drains, it is not dead"
    );

    held.finish().await;
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
    // A connection that was kept takes no more requests either.
    until("a kept connection that is closed", || async {
        kept.is_closed()
    })
    .await;
    let request = gateway.request("GET", "/hello").body(empty()).unwrap();
    assert!(kept.send_request(request).await.is_err());
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
    assert_eq!(gateway.ended().await.code(), Some(1), "something was cut");
    for package in ["hangs", "spins"] {
        let told = |event: &Event| event.has(&[("package", package), ("level", "WARN")]);
        let events = gateway.events();
        assert!(events.iter().any(told), "{package}: {events:?}");
    }
    drop(held);
}

/// Rounds of what was a matter of luck once.
const ROUNDS: usize = 3;

/// A client that lets so much time pass between two requests may be taken for idle while the gateway ends.
const IDLE: Duration = Duration::from_millis(100);
/// Clients at once, as many as a balancer may hold open.
const CLIENTS: usize = 40;

#[tokio::test]
async fn clients_that_the_kernel_has_accepted_are_answered_whoever_is_busy() {
    for round in 0..ROUNDS {
        let mut gateway = patient();
        gateway.get("/hello").await;
        gateway.signal(Signal::Stop);
        let mut clients = Vec::new();
        for client in 0..CLIENTS {
            if client % 4 == 3 {
                let stream = TcpStream::connect(gateway.address).await.unwrap();
                clients.push(tokio::spawn(over_http2(stream, gateway.address)));
                continue;
            }
            let mut connection = gateway.raw().await;
            let whole = client % 2 == 0;
            let head = "GET /hello HTTP/1.1\r\nhost: x\r\n";
            connection.send(head).await;
            if whole {
                connection.send("\r\n").await;
            }
            clients.push(tokio::spawn(async move {
                if !whole {
                    connection.send("\r\n").await;
                }
                connection.response().await.body
            }));
        }
        // Each client has sent something before the gateway is told to stop.
        for _ in 0..CLIENTS {
            tokio::task::yield_now().await;
        }
        gateway.signal(Signal::Terminate);
        gateway.signal(Signal::Continue);
        for client in clients {
            let body = within("an answer", client).await.unwrap();
            assert_eq!(body, "Hello from a package\n", "round {round}");
        }
        assert_eq!(gateway.ended().await.code(), Some(0));
    }
}

/// A request over HTTP/2.
async fn over_http2(stream: TcpStream, address: SocketAddr) -> String {
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let uri = format!("http://{address}/hello");
    let request = http::Request::get(uri).body(empty()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    Reply::of(response).await.unwrap().text()
}

#[tokio::test]
async fn every_request_of_a_busy_client_is_answered_until_it_is_told_to_leave() {
    for _ in 0..ROUNDS {
        let mut gateway = patient();
        let mut clients = Vec::new();
        for _ in 0..8 {
            let mut connection = gateway.http1().await;
            clients.push(tokio::spawn(async move {
                // A client that was not scheduled for long enough to be taken for idle has sent nothing, or too late.
                let mut asked = Instant::now();
                while connection.ready().await.is_ok() {
                    let request = http::Request::get("/hello").header("host", "x");
                    let pause = std::mem::replace(&mut asked, Instant::now()).elapsed();
                    let response = connection.send_request(request.body(empty()).unwrap());
                    let response = match response.await {
                        Err(_) if pause > IDLE => return,
                        response => response.unwrap(),
                    };
                    let reply = Reply::of(response).await.unwrap();
                    assert_eq!(reply.text(), "Hello from a package\n");
                    if reply.header("connection") == Some("close") {
                        return;
                    }
                }
            }));
        }
        until("some requests", || async {
            let served = gateway.metrics().await.sum("wasmgate_requests_total", &[]);
            served > 50.0
        })
        .await;
        gateway.signal(Signal::Terminate);
        for client in clients {
            within("the word that it is the last", client)
                .await
                .unwrap();
        }
        assert_eq!(gateway.ended().await.code(), Some(0));
    }
}

#[tokio::test]
async fn a_request_whose_first_byte_has_arrived_is_answered() {
    let mut gateway = patient();
    let mut answered = gateway.raw().await;
    let hello = "GET /hello HTTP/1.1\r\nhost: x\r\n\r\n";
    answered.send(format!("{hello}GET /hel")).await;
    assert_eq!(answered.response().await.status(), 200);
    let mut begun = gateway.raw().await;
    begun.send("G").await;
    gateway.signal(Signal::Terminate);
    until("a listener that is closed", || async {
        TcpStream::connect(gateway.address).await.is_err()
    })
    .await;
    begun.send("ET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await;
    answered.send("lo HTTP/1.1\r\nhost: x\r\n\r\n").await;
    for mut connection in [begun, answered] {
        let response = connection.response().await;
        assert_eq!(response.body, "Hello from a package\n");
        assert_eq!(response.header("connection"), Some("close"));
    }
    assert_eq!(gateway.ended().await.code(), Some(0));
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
