//! Limits of a request's head, and requests that cannot be understood: a problem document over either version of HTTP.

use http::Request;

use crate::harness::{RawConnection, Reply, TestGateway, empty, within};

/// The next answer on a connection, which has to be a document of ours and the last one.
async fn assert_document(connection: &mut RawConnection, status: u16, reason: &str) {
    let response = connection.response().await;
    assert_eq!(
        (response.status(), response.header("x-wasmgate-error")),
        (status, Some(reason)),
        "{response:?}"
    );
    assert_eq!(response.header("connection"), Some("close"));
    assert!(response.header("date").is_some(), "{response:?}");
    let problem: serde_json::Value = serde_json::from_str(&response.body).unwrap();
    assert_eq!(problem["status"], status);
    assert_eq!(
        problem["request_id"].as_str(),
        response.header("x-request-id")
    );
}

fn fields(count: usize) -> String {
    (0..count).map(|n| format!("x-{n}: v\r\n")).collect()
}

async fn over_http2(gateway: &TestGateway, fields: usize, bytes: usize) -> Reply {
    let uri = format!("http://{}/hello", gateway.address);
    let mut request = Request::get(uri);
    for n in 0..fields {
        request = request.header(format!("x-{n}"), "v".repeat(bytes));
    }
    let mut connection = gateway.http2().await;
    let response = connection.send_request(request.body(empty()).unwrap());
    Reply::of(within("a response", response).await.unwrap())
        .await
        .unwrap()
}

#[tokio::test]
async fn too_many_fields_are_request_head_too_large() {
    for (lines, most) in [
        ("", 100),
        ("request_headers = 300", 300),
        ("request_headers = 20", 20),
    ] {
        let gateway = TestGateway::builder().server(lines).guest("hello").start();
        for (count, status) in [(most, 200), (most + 1, 431)] {
            let mut connection = gateway.raw().await;
            connection
                .send(format!(
                    "GET /hello HTTP/1.1\r\nhost: x\r\n{}\r\n",
                    fields(count - 1)
                ))
                .await;
            if status == 200 {
                assert_eq!(connection.response().await.status(), 200);
                assert_eq!(over_http2(&gateway, count, 1).await.status, 200);
            } else {
                assert_document(&mut connection, 431, "request-head-too-large").await;
                let reply = over_http2(&gateway, count, 1).await;
                reply.assert_error(431, "request-head-too-large");
            }
        }
        let refused = [("reason", "request-head-too-large")];
        let counted = gateway
            .metrics()
            .await
            .sum("wasmgate_refusals_total", &refused);
        assert_eq!(counted, 2.0);
    }
}

#[tokio::test]
async fn a_head_is_as_long_as_it_may_be_to_the_byte() {
    let gateway = TestGateway::builder()
        .server("request_head = \"16KiB\"")
        .guest("hello")
        .start();
    for (bytes, status) in [
        (16 << 10, 200),
        ((16 << 10) + 1, 431),
        (70 << 10, 431),
        (400 << 10, 431),
    ] {
        let head = |filler: usize| {
            format!(
                "GET /hello HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n",
                "v".repeat(filler)
            )
        };
        let filler = bytes - head(0).len();
        let mut connection = gateway.raw().await;
        connection.send(head(filler)).await;
        if status == 200 {
            assert_eq!(connection.response().await.status(), 200, "{bytes} bytes");
        } else {
            assert_document(&mut connection, 431, "request-head-too-large").await;
        }
    }
    over_http2(&gateway, 1, 17 << 10)
        .await
        .assert_error(431, "request-head-too-large");
    assert_eq!(over_http2(&gateway, 1, 15 << 10).await.status, 200);
}

#[tokio::test]
async fn a_target_that_is_too_long_is_target_too_long() {
    let gateway = TestGateway::builder()
        .server("request_head = \"256KiB\"")
        .guest("hello")
        .start();
    let mut connection = gateway.raw().await;
    let target = "a".repeat(70_000);
    connection
        .send(format!("GET /{target} HTTP/1.1\r\nhost: x\r\n\r\n"))
        .await;
    assert_document(&mut connection, 414, "target-too-long").await;
}

#[tokio::test]
async fn what_is_no_request_is_bad_request_with_a_document_and_a_line_in_the_log() {
    let gateway = TestGateway::builder().guest("hello").start();
    for garbage in [
        "GARBAGE\r\n\r\n",
        "GET /hello HTTP/9.9\r\nhost: x\r\n\r\n",
        "GET /hello HTTP/1.1\r\nhost x\r\n\r\n",
        "GET /hello HTTP/1.1\r\nhost: x\r\ncontent-length: nine\r\n\r\n",
    ] {
        let mut connection = gateway.raw().await;
        connection.send(garbage).await;
        assert_document(&mut connection, 400, "bad-request").await;
    }
    gateway
        .wait_for_event(&[
            ("reason", "bad-request"),
            ("message", "a request was not understood"),
        ])
        .await;
}

#[tokio::test]
async fn garbage_behind_a_good_request_is_answered_after_it() {
    let gateway = TestGateway::builder().guest("hello").guest("echo").start();
    for good in [
        "GET /hello HTTP/1.1\r\nhost: x\r\n\r\n",
        "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc",
    ] {
        let mut connection = gateway.raw().await;
        connection.send(good).await;
        assert_eq!(connection.response().await.status(), 200);
        connection.send("GARBAGE\r\n\r\n").await;
        assert_document(&mut connection, 400, "bad-request").await;
        let mut connection = gateway.raw().await;
        connection.send(format!("{good}GARBAGE\r\n\r\n")).await;
        assert_eq!(connection.response().await.status(), 200);
        assert_eq!(connection.response().await.status(), 400);
    }
}

#[tokio::test]
async fn a_head_that_does_not_come_in_time_is_request_timeout_and_silence_is_nothing() {
    let gateway = TestGateway::builder()
        .server("header_timeout = \"2s\"")
        .guest("hello")
        .start();
    let mut slow = gateway.raw().await;
    slow.send("GET /hello HTTP/1.1\r\nhost:").await;
    assert_document(&mut slow, 408, "request-timeout").await;
    assert_eq!(gateway.raw().await.rest().await, "", "silence");
    let mut kept = gateway.raw().await;
    kept.send("GET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(kept.response().await.status(), 200);
    assert_eq!(kept.rest().await, "", "silence after an answer");
    let mut half = gateway.raw().await;
    half.send("PRI * HTTP/2.0\r\n\r\nSM\r\n").await;
    assert!(half.rest().await.len() < 100, "half a preface");
}

#[tokio::test]
async fn the_admin_listener_does_not_wait_for_ever_for_a_head() {
    let gateway = TestGateway::builder()
        .server("header_timeout = \"2s\"")
        .guest("hello")
        .start();
    let mut slow = RawConnection::to(gateway.admin).await;
    slow.send("GET /livez HTTP/1.1\r\nhost:").await;
    assert_document(&mut slow, 408, "request-timeout").await;
    let mut head = RawConnection::to(gateway.admin).await;
    head.send("HEAD /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await;
    let answer = head.rest().await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn websockets_are_not_implemented_and_other_offers_are_as_if_they_were_not_there() {
    let gateway = TestGateway::builder().guest("reports_its_request").start();
    let ask = async |offer: &str| {
        let mut connection = gateway.raw().await;
        connection
            .send(format!(
                "GET /reports-its-request HTTP/1.1\r\nhost: x\r\n{offer}\r\n\r\n"
            ))
            .await;
        connection.response().await
    };
    for offer in [
        "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
        "Connection: keep-alive, upgrade\r\nUpgrade: h2c, WebSocket",
    ] {
        let response = ask(offer).await;
        assert_eq!(
            (response.status(), response.header("x-wasmgate-error")),
            (501, Some("not-implemented"))
        );
        assert!(response.body.contains("request_id"), "{response:?}");
    }
    for offer in [
        "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__",
        "connection: upgrade\r\nupgrade: irc/6.9, foo/2",
        "upgrade: websocket",
    ] {
        let response = ask(offer).await;
        assert_eq!(response.status(), 200, "{offer}: {response:?}");
        let seen = response.body.to_lowercase();
        for hidden in ["upgrade", "http2-settings", "connection"] {
            assert!(!seen.contains(hidden), "{offer}: {seen}");
        }
    }
    let mut old = gateway.raw().await;
    old.send("GET /reports-its-request HTTP/1.0\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        .await;
    assert!(old.rest().await.contains(" 200 "));
}
