//! Bodies of services, in both directions at once, with trailers, and held back when the other side is slow.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request};
use http_body::Frame;
use http_body_util::BodyExt as _;

use super::{assert_unharmed, beside_hello};
use crate::{
    harness::{Reply, channel, empty, is_broken, within},
    streaming::{HEADROOM, MIB, stays_small},
};

/// Fields that say where a request goes, who sends it and from where, and that no trailers may have.
const FOR_A_HEAD: [&str; 9] = [
    "host",
    "content-length",
    "authorization",
    "cookie",
    "x-forwarded-for",
    "forwarded",
    "x-request-id",
    "dapr-caller-app-id",
    "wasmgate-depth",
];

/// Copies what it reads, and never sees what it passes on.
const WAYS: [&str; 2] = ["/new/echo", "/new/pass"];

#[tokio::test]
async fn a_body_comes_back_while_it_is_being_sent() {
    let gateway = beside_hello("", "").start();
    for way in WAYS {
        let (sender, body) = channel();
        let request = gateway.request("POST", way).body(body).unwrap();
        let mut body = gateway.start_request(request).await.unwrap().into_body();
        for word in ["one", "two", "three"] {
            sender.send(Frame::data(Bytes::from(word))).await.unwrap();
            let frame = within("the word", body.frame()).await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), word);
        }
        drop(sender);
        assert!(within("the end", body.frame()).await.is_none(), "{way}");
        assert_unharmed(&gateway).await;
    }
}

#[tokio::test]
async fn trailers_go_both_ways_and_those_of_one_connection_do_not() {
    let gateway = beside_hello("", "").start();
    let mut connection = gateway.http2().await;
    let uri = |path: &str| format!("http://{}{path}", gateway.address);
    let own = Request::get(uri("/new/trailers")).body(empty()).unwrap();
    let response = within("a response", connection.send_request(own))
        .await
        .unwrap();
    let collected = within("the body", response.into_body().collect())
        .await
        .unwrap();
    let trailers = collected.trailers().unwrap();
    assert_eq!(trailers.get("x-tail").unwrap(), "wags");
    assert!(trailers.get("connection").is_none());
    for way in WAYS {
        let (sender, body) = channel();
        let mut tail = HeaderMap::new();
        tail.insert("x-tail", HeaderValue::from_static("wags"));
        let mut sent = tail.clone();
        for name in FOR_A_HEAD {
            sent.insert(name, HeaderValue::from_static("1"));
        }
        let parts = [Frame::data(Bytes::from("abc")), Frame::trailers(sent)];
        tokio::spawn(async move {
            for part in parts {
                sender.send(part).await.unwrap();
            }
        });
        let request = Request::post(uri(way)).body(body).unwrap();
        let response = within("a response", connection.send_request(request))
            .await
            .unwrap();
        let collected = within("the body", response.into_body().collect())
            .await
            .unwrap();
        assert_eq!(collected.trailers(), Some(&tail), "{way}");
        assert_eq!(collected.to_bytes(), "abc", "{way}");
    }
}

#[tokio::test]
async fn a_large_echo_read_slowly_stays_small_in_the_gateway() {
    let gateway = beside_hello("request_body = \"1GiB\"\ntimeout = \"60s\"", "").start();
    for way in WAYS {
        stays_small(&gateway, way).await;
    }
}

#[tokio::test]
async fn a_guest_is_held_back_while_its_client_does_not_read() {
    let gateway = beside_hello("timeout = \"60s\"", "").start();
    gateway.get("/new/bytes?count=1048576").await;
    let before = gateway.resident_bytes();
    let total = 128 * MIB;
    let request = gateway.request("GET", &format!("/new/bytes?count={total}"));
    let response = gateway.start_request(request.body(empty()).unwrap()).await;
    let mut body = response.unwrap().into_body();
    let mut received = 0;
    while let Some(frame) = within("the bytes", body.frame()).await {
        received += frame.unwrap().into_data().unwrap().len();
        let grown = gateway.resident_bytes().saturating_sub(before);
        assert!(grown < HEADROOM, "{grown} bytes more after {received}");
    }
    assert_eq!(received, total);
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_where_it_passes_it() {
    let gateway = beside_hello("request_body = \"1KiB\"", "").start();
    let refused = gateway.post("/new/length", vec![b'x'; 1025]).await;
    refused.assert_error(413, "body-too-large");
    let (sender, body) = channel();
    let request = gateway.request("POST", "/new/length").body(body).unwrap();
    let pump = tokio::spawn(async move {
        for _ in 0..1025 {
            if sender.send(Frame::data(Bytes::from("x"))).await.is_err() {
                break;
            }
        }
    });
    gateway
        .send(request)
        .await
        .assert_error(413, "body-too-large");
    pump.abort();
    assert_eq!(
        gateway.post("/new/length", vec![b'x'; 1024]).await.text(),
        "1024 whole"
    );
    assert_unharmed(&gateway).await;
}

#[tokio::test]
async fn what_is_passed_on_ends_with_the_deadline_of_its_guest() {
    let gateway = beside_hello(
        "timeout = \"5s\"",
        "limits = { concurrency = 1, queue = 0 }",
    )
    .start();
    let (sender, body) = channel();
    let request = gateway.request("POST", "/new/pass").body(body).unwrap();
    let mut response = gateway.start_request(request).await.unwrap();
    sender
        .send(Frame::data(Bytes::from("a part")))
        .await
        .unwrap();
    let frame = within("the part", response.body_mut().frame()).await;
    assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), "a part");
    // Its code has ended, and it counts as an instance as long as its bodies pass.
    gateway
        .get("/new/count")
        .await
        .assert_error(503, "overloaded");
    assert!(is_broken(Ok(response)).await, "it ended cleanly");
    assert_unharmed(&gateway).await;
    gateway
        .wait_for_event(&[("package", "new"), ("reason", "request-timeout")])
        .await;
}

#[tokio::test]
async fn a_client_that_goes_away_stops_its_guest() {
    let gateway = beside_hello("timeout = \"10m\"", "").start();
    for path in ["writes-without-end", "never", "spin", "works-on"] {
        let mut connection = gateway.raw().await;
        connection
            .send(format!("GET /new/{path} HTTP/1.1\r\nhost: x\r\n\r\n"))
            .await;
        gateway.wait_for_in_flight("new", 1).await;
        if path == "works-on" {
            // It has its answer, and what is done after it is the guest's own.
            assert_eq!(connection.response().await.body, "done");
            break;
        }
        drop(connection);
        assert_unharmed(&gateway).await;
    }
}

#[tokio::test]
async fn a_guest_that_fails_after_a_part_never_looks_finished() {
    let gateway = beside_hello("timeout = \"3s\"", "").start();
    for path in [
        "traps-after",
        "breaks-off",
        "leaves-open",
        "exits-within",
        "spins-after",
    ] {
        let request = gateway
            .request("GET", &format!("/new/{path}"))
            .body(empty())
            .unwrap();
        match gateway.start_request(request).await {
            Ok(response) if response.status() == 200 => {
                let collected = Reply::of(response).await;
                assert!(
                    collected.is_err(),
                    "{path}: {:?}",
                    collected.map(|reply| reply.text())
                );
            }
            Ok(response) => assert!(response.status().is_server_error(), "{path}"),
            Err(_) => {}
        }
        assert_unharmed(&gateway).await;
    }
}
