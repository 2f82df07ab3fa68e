//! Bodies of any size, in both directions at once, held back when the other side is slow.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request};
use http_body::Frame;
use http_body_util::BodyExt as _;

use crate::harness::{Reply, TestGateway, channel, empty, within};

pub(crate) const MIB: usize = 1024 * 1024;

/// Memory that the gateway may take beyond what it had before a large transfer: guest memory,
/// buffers and allocator slack, but nowhere near the body's size.
pub(crate) const HEADROOM: u64 = 32 * MIB as u64;

fn echo() -> TestGateway {
    TestGateway::builder()
        .limits("request_body = \"1GiB\"")
        .guest("echo")
        .start()
}

/// Sends 64 MiB to what echoes them, reads them as they come back, and looks at the gateway's memory meanwhile.
pub(crate) async fn stays_small(gateway: &TestGateway, echo: &str) {
    gateway.post(echo, vec![0; MIB]).await;
    let before = gateway.resident_bytes();
    let (sender, body) = channel();
    let pump = tokio::spawn(async move {
        let chunk = Bytes::from(vec![b'e'; 64 * 1024]);
        for _ in 0..64 * MIB / chunk.len() {
            sender.send(Frame::data(chunk.clone())).await.unwrap();
        }
    });
    let request = gateway.request("POST", echo).body(body).unwrap();
    let mut body = gateway.start_request(request).await.unwrap().into_body();
    let (mut received, mut looked_at) = (0, 0);
    while let Some(frame) = within("the echo", body.frame()).await {
        received += frame.unwrap().into_data().unwrap().len();
        if received - looked_at > MIB {
            looked_at = received;
            let grown = gateway.resident_bytes().saturating_sub(before);
            assert!(
                grown < HEADROOM,
                "{echo}: {grown} bytes more after {received}"
            );
        }
    }
    assert_eq!(received, 64 * MIB);
    within("the sender", pump).await.unwrap();
}

#[tokio::test]
async fn a_body_with_a_length_comes_back_with_it() {
    let gateway = echo();
    let body = Bytes::from(vec![b'e'; 100_000]);
    let reply = gateway.post("/echo", body.clone()).await;
    assert_eq!(reply.header("content-length"), Some("100000"));
    assert_eq!(reply.body, body);
}

#[tokio::test]
async fn a_chunked_body_comes_back_while_it_is_being_sent() {
    let gateway = echo();
    let (sender, body) = channel();
    let request = gateway.request("POST", "/echo").body(body).unwrap();
    let response = gateway.start_request(request).await.unwrap();
    assert!(response.headers().get("content-length").is_none());
    let mut body = response.into_body();
    for word in ["one", "two", "three"] {
        // Each word is answered before the next one is sent: nothing waits for the end.
        sender.send(Frame::data(Bytes::from(word))).await.unwrap();
        let frame = within("the word", body.frame()).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), word);
    }
    drop(sender);
    assert!(within("the end", body.frame()).await.is_none());
}

#[tokio::test]
async fn chunk_extensions_and_odd_chunk_sizes_are_read() {
    let gateway = echo();
    let mut connection = gateway.raw().await;
    connection
        .send(
            "POST /echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n\
             1;name=value\r\na\r\n00B\r\nbcdefghijkl\r\n0\r\n\r\n",
        )
        .await;
    let answer = connection.rest().await;
    let letters: String = answer.split("\r\n\r\n").skip(1).collect();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(
        letters.contains('a') && letters.contains("bcdefghijkl"),
        "{answer}"
    );
}

#[tokio::test]
async fn an_empty_body_is_an_empty_body() {
    let gateway = echo();
    let reply = gateway.post("/echo", "").await;
    assert_eq!((reply.status.as_u16(), reply.body.len()), (200, 0));
}

#[tokio::test]
async fn a_large_echo_read_slowly_stays_small_in_the_gateway() {
    let gateway = echo();
    stays_small(&gateway, "/echo").await;
}

#[tokio::test]
async fn a_guest_is_held_back_while_its_client_does_not_read() {
    let gateway = TestGateway::builder().guest("sends_bytes").start();
    gateway.get(&format!("/sends-bytes?n={MIB}")).await;
    let before = gateway.resident_bytes();
    let total = 256 * MIB;
    let request = gateway.request("GET", &format!("/sends-bytes?n={total}"));
    let response = gateway
        .start_request(request.body(crate::harness::empty()).unwrap())
        .await;
    let mut body = response.unwrap().into_body();
    let mut received = 0;
    while let Some(frame) = within("the bytes", body.frame()).await {
        received += frame.unwrap().into_data().unwrap().len();
        // Reading /proc between any two frames makes this a slow reader.
        let grown = gateway.resident_bytes().saturating_sub(before);
        assert!(
            grown < HEADROOM,
            "{grown} bytes more after {received} of the body"
        );
    }
    assert_eq!(received, total);
}

#[tokio::test]
async fn a_client_is_held_back_while_the_guest_does_not_read() {
    let gateway = TestGateway::builder()
        .limits("request_body = \"1GiB\"\ntimeout = \"2s\"")
        .guest("hangs")
        .guest("hello")
        .start();
    gateway.get("/hello").await;
    let before = gateway.resident_bytes();
    let (sender, body) = channel();
    let pump = tokio::spawn(async move {
        let chunk = Bytes::from(vec![b'e'; 64 * 1024]);
        for _ in 0..256 * MIB / chunk.len() {
            if sender.send(Frame::data(chunk.clone())).await.is_err() {
                break;
            }
        }
    });
    // Ends at the guest's deadline; whether the answer gets past the unsent body is TCP's affair.
    let _ = gateway
        .start_request(gateway.request("POST", "/hangs").body(body).unwrap())
        .await;
    let grown = gateway.resident_bytes().saturating_sub(before);
    assert!(
        grown < HEADROOM,
        "{grown} bytes more for a body that nobody read"
    );
    pump.abort();
    gateway.wait_for_in_flight("hangs", 0).await;
}

#[tokio::test]
async fn trailers_pass_both_ways_over_http2() {
    let gateway = echo();
    let (sender, body) = channel();
    let uri = format!("http://{}/echo", gateway.address);
    let request = Request::post(uri)
        .header("trailer", "x-sum")
        .body(body)
        .unwrap();
    let mut connection = gateway.http2().await;
    let response = tokio::spawn(async move { connection.send_request(request).await });
    sender.send(Frame::data(Bytes::from("body"))).await.unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("4"));
    sender
        .send(Frame::trailers(trailers.clone()))
        .await
        .unwrap();
    drop(sender);
    let response = within("a response", response).await.unwrap().unwrap();
    let reply = Reply::of(response).await.unwrap();
    assert_eq!(reply.text(), "body");
    assert_eq!(reply.trailers, Some(trailers));
}

#[tokio::test]
async fn cookies_that_a_browser_sends_one_by_one_over_http2_are_one_field_to_a_guest() {
    let gateway = TestGateway::builder().guest("reports_its_request").start();
    let uri = format!("http://{}/reports-its-request", gateway.address);
    let request = Request::get(uri).header("cookie", "a=1");
    let request = request
        .header("cookie", "b=2")
        .header("cookie", "c=3")
        .body(empty())
        .unwrap();
    let mut connection = gateway.http2().await;
    let response = connection.send_request(request).await.unwrap();
    let told = Reply::of(response).await.unwrap().text();
    let cookies: Vec<_> = told
        .lines()
        .filter(|line| line.contains("cookie"))
        .collect();
    assert_eq!(cookies, ["header cookie: a=1; b=2; c=3"], "{told}");
}

#[tokio::test]
async fn what_a_strict_client_of_http2_would_refuse_is_not_in_an_answer() {
    let gateway = TestGateway::builder().guest("sends_trailers").start();
    let uri = format!("http://{}/sends-trailers?all=1", gateway.address);
    let request = Request::get(uri).body(empty()).unwrap();
    let mut connection = gateway.http2().await;
    let response = connection.send_request(request).await.unwrap();
    let blanks = response.headers().get("x-blanks").cloned();
    assert_eq!(blanks, Some(HeaderValue::from_static("a value")));
    let trailers = Reply::of(response).await.unwrap().trailers.unwrap();
    let mut expected = HeaderMap::new();
    expected.insert("x-checksum", HeaderValue::from_static("4"));
    expected.insert("x-blanks", HeaderValue::from_static("a value"));
    assert_eq!(trailers, expected);
}

#[tokio::test]
async fn trailers_reach_an_http1_client_that_asks_for_them() {
    let gateway = TestGateway::builder().guest("sends_trailers").start();
    let mut connection = gateway.raw().await;
    connection
        .send("GET /sends-trailers HTTP/1.1\r\nhost: x\r\nte: trailers\r\nconnection: close, te\r\n\r\n")
        .await;
    let answer = connection.rest().await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let (_, after_the_last_chunk) = answer.split_once("\r\n0\r\n").expect("a last chunk");
    assert_eq!(after_the_last_chunk.to_lowercase(), "x-checksum: 4\r\n\r\n");
}

#[tokio::test]
async fn trailers_from_an_http1_client_reach_the_guest() {
    let gateway = echo();
    let mut connection = gateway.raw().await;
    connection
        .send(
            "POST /echo HTTP/1.1\r\nhost: x\r\nte: trailers\r\nconnection: close, te\r\n\
             trailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nx-sum: 4\r\n\r\n",
        )
        .await;
    let answer = connection.rest().await;
    let (_, after_the_last_chunk) = answer.split_once("\r\n0\r\n").expect("a last chunk");
    assert_eq!(after_the_last_chunk.to_lowercase(), "x-sum: 4\r\n\r\n");
}
