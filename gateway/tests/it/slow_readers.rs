//! Clients that read slowly are served whole; those that read nothing are let go, with what waited for them.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::sleep,
};

use crate::harness::{TestGateway, until, within};

/// The bytes that a client's kernel takes for it: little, so that it is the client's reading that counts.
const SMALL_BUFFER: u32 = 16 << 10;

fn gateway(write_timeout: &str) -> TestGateway {
    TestGateway::builder()
        .server(&format!("write_timeout = \"{write_timeout}\""))
        .limits("timeout = \"5m\"")
        .guest("sends_bytes")
        .guest("hello")
        .start()
}

async fn cut(gateway: &TestGateway, reason: &str) -> f64 {
    let metrics = gateway.metrics().await;
    metrics.sum("wasmgate_clients_cut_total", &[("reason", reason)])
}

async fn unsent(gateway: &TestGateway) -> f64 {
    gateway.metrics().await.sum("wasmgate_unsent_bytes", &[])
}

async fn with_small_buffer(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(SMALL_BUFFER).unwrap();
    socket.connect(address).await.unwrap()
}

async fn ask(gateway: &TestGateway, target: &str) -> TcpStream {
    let mut stream = with_small_buffer(gateway.address).await;
    let request = format!("GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// An HTTP/2 connection whose streams have windows of this size, none of which is ever enlarged.
async fn http2(gateway: &TestGateway, window: u32) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let (client, connection) = h2::client::Builder::new()
        .initial_window_size(window)
        .initial_connection_window_size(64 << 20)
        .handshake(stream)
        .await
        .unwrap();
    tokio::spawn(connection);
    within("the connection", client.ready()).await.unwrap()
}

fn get(gateway: &TestGateway, target: &str) -> Request<()> {
    Request::get(format!("http://{}{target}", gateway.address))
        .body(())
        .unwrap()
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_cut_and_what_waited_for_it_is_gone() {
    let gateway = gateway("500ms");
    let mut deaf = Vec::new();
    for chunk in [4096, 1 << 20] {
        for _ in 0..10 {
            deaf.push(ask(&gateway, &format!("/sends-bytes?n=100000000&chunk={chunk}")).await);
        }
        // An answer that its guest has finished already.
        deaf.push(ask(&gateway, "/sends-bytes?n=1000000&chunk=1000000").await);
    }
    until("the end of those that read nothing", || async {
        cut(&gateway, "slow-reader").await >= deaf.len() as f64
    })
    .await;
    gateway.wait_for_in_flight("sends-bytes", 0).await;
    until("nothing to wait", || async {
        unsent(&gateway).await == 0.0
    })
    .await;
    assert_eq!(gateway.get("/hello").await.status, 200);
    for mut stream in deaf {
        // What had come is there; then the connection is broken, and does not look finished.
        let mut read = Vec::new();
        let ended = within("the end", stream.read_to_end(&mut read)).await;
        assert!(ended.is_err(), "{} bytes", read.len());
    }
}

#[tokio::test]
async fn a_client_that_reads_slowly_and_goes_on_gets_all_of_it() {
    let gateway = gateway("3s");
    for chunk in [4096, 1 << 20] {
        let size = 6_000_000;
        let mut stream = ask(&gateway, &format!("/sends-bytes?n={size}&chunk={chunk}")).await;
        let (mut bytes, mut part) = (0, vec![0; 100_000]);
        loop {
            let read = within("a part", stream.read(&mut part)).await.unwrap();
            if read == 0 {
                break;
            }
            bytes += part.iter().take(read).filter(|byte| **byte == b'x').count();
            // The pace of the client, not a wait for something.
            sleep(Duration::from_millis(20)).await;
        }
        assert!(bytes >= size, "{bytes}");
    }
    assert_eq!(cut(&gateway, "slow-reader").await, 0.0);
}

#[tokio::test]
async fn a_stream_without_a_window_is_ended_alone_and_its_connection_goes_on() {
    let gateway = gateway("1s");
    for (window, target) in [
        (0, "/hello"),
        (100_000, "/sends-bytes?n=100000000&chunk=1000000"),
    ] {
        let mut client = http2(&gateway, window).await;
        let request = get(&gateway, target);
        let (response, _) = client.send_request(request, true).unwrap();
        let mut body = within("a response", response).await.unwrap().into_body();
        let ended = within("the end of the stream", async {
            loop {
                match body.data().await {
                    Some(Ok(_)) => {}
                    other => break other,
                }
            }
        });
        let error = ended.await.unwrap().unwrap_err();
        assert!(error.is_reset(), "{error}");
        let request = get(&gateway, "/nowhere");
        let (response, _) = client.send_request(request, true).unwrap();
        assert_eq!(within("a response", response).await.unwrap().status(), 404);
    }
    until("both to be counted", || async {
        cut(&gateway, "slow-stream").await == 2.0
    })
    .await;
    gateway.wait_for_in_flight("sends-bytes", 0).await;
}

#[tokio::test]
async fn what_waits_for_one_http2_connection_is_bounded_however_many_streams_it_has() {
    let gateway = gateway("1h");
    let mut client = http2(&gateway, 0).await;
    let mut streams = Vec::new();
    for _ in 0..200 {
        client = within("the connection", client.ready()).await.unwrap();
        let request = get(&gateway, "/sends-bytes?n=100000000&chunk=1048576");
        let (response, _) = client.send_request(request, true).unwrap();
        streams.push(response);
    }
    let mut bodies = Vec::new();
    for response in streams {
        bodies.push(within("a response", response).await.unwrap());
    }
    let waiting = unsent(&gateway).await;
    assert!(waiting > 1e6 && waiting < 48e6, "{waiting}");
    drop(bodies);
    until("nothing to wait", || async {
        unsent(&gateway).await == 0.0
    })
    .await;
}
