//! Requests that no good client sends: refused or read as the RFCs say, and nothing else harmed.

use crate::harness::{TestGateway, empty, status, until};

fn gateway() -> TestGateway {
    TestGateway::builder()
        .server("workers = 1")
        .guest("hello")
        .guest("reports_its_request")
        .guest("reads_the_whole_body")
        .start()
}

/// The answer to a whole request on a connection of its own, up to its end.
async fn exchange(gateway: &TestGateway, bytes: impl AsRef<[u8]>) -> String {
    let mut connection = gateway.raw().await;
    connection.send(bytes).await;
    // Closed sooner, it could be taken for a client that has gone.
    connection.begun().await;
    connection.close_sending_side().await;
    connection.rest().await
}

/// The answer, if any, to bytes after which the client sends no more.
async fn exchange_cut_off(gateway: &TestGateway, bytes: impl AsRef<[u8]>) -> String {
    let mut connection = gateway.raw().await;
    connection.send(bytes).await;
    connection.close_sending_side().await;
    connection.rest().await
}

/// The head of the answer to bytes on a connection that stays open: what closes its side may be taken for gone.
async fn head_of(gateway: &TestGateway, bytes: impl AsRef<[u8]>) -> String {
    let mut connection = gateway.raw().await;
    connection.send(bytes).await;
    connection.head().await
}

async fn assert_unharmed(gateway: &TestGateway) {
    assert_eq!(gateway.get("/hello").await.text(), "Hello from a package\n");
}

#[tokio::test]
async fn a_malformed_head_is_a_bad_request() {
    let gateway = gateway();
    for head in [
        "\0\x01\x02\x03\r\n\r\n",
        "GET\r\n\r\n",
        "GET /hello\r\n\r\n",
        "GET  /hello HTTP/1.1\r\nhost: x\r\n\r\n",
        "GET hello HTTP/1.1\r\nhost: x\r\n\r\n",
        "GET /hel\x01lo HTTP/1.1\r\nhost: x\r\n\r\n",
        "G=T /hello HTTP/1.1 extra\r\nhost: x\r\n\r\n",
        "GET /hello HTTP/1.1\r\nhost: x\r\nno colon\r\n\r\n",
        "GET /hello HTTP/1.1\r\nhost: x\r\nname with spaces: v\r\n\r\n",
        "GET /hello HTTP/1.1\r\nhost: x\r\nname : v\r\n\r\n",
        "GET /hello HTTP/1.1\r\nhost: x\r\n folded: v\r\n\r\n",
        "GET /hello HTTP/1.1\r\nhost: x\r\nx: a\0b\r\n\r\n",
    ] {
        let answer = head_of(&gateway, head).await;
        assert_eq!(status(&answer), 400, "{head:?}: {answer}");
    }
    assert_unharmed(&gateway).await;
}

#[tokio::test]
async fn an_unknown_version_of_http_is_refused() {
    let gateway = gateway();
    let answer = exchange(&gateway, "GET /hello HTTP/9.9\r\nhost: x\r\n\r\n").await;
    assert!(matches!(status(&answer), 0 | 400 | 505), "{answer}");
    assert_unharmed(&gateway).await;
}

#[tokio::test]
async fn a_host_over_http2_that_is_not_the_authority_is_refused() {
    let gateway = gateway();
    let mut connection = gateway.http2().await;
    let (ours, port) = (gateway.address.ip(), gateway.address.port());
    let (whole, bare) = (gateway.address.to_string(), ours.to_string());
    let other = format!("{ours}:{}", port ^ 1);
    let requests: [(&[&str], u16); 6] = [
        (&[&whole], 200),
        (&[&bare], 200),
        (&["evil.example"], 400),
        (&[&other], 400),
        (&[&whole, "evil.example"], 400),
        (&["a b"], 400),
    ];
    for (hosts, expected) in requests {
        let mut request = http::Request::get(format!("http://{whole}/hello"));
        for host in hosts {
            request = request.header("host", *host);
        }
        let request = request.body(empty()).unwrap();
        let answer = connection.send_request(request).await.unwrap();
        assert_eq!(answer.status(), expected, "{hosts:?}");
    }
    assert_unharmed(&gateway).await;
}

#[tokio::test]
async fn exactly_one_host_is_required() {
    let gateway = gateway();
    for hosts in [
        "",
        "host: a\r\nhost: b\r\n",
        "host: a b\r\n",
        "host: a/b\r\n",
        "host: http://a\r\n",
        "host: a@b\r\n",
        "host: [::1\r\n",
        "host: a:b\r\n",
        "host: a:+1\r\n",
        "host: :80\r\n",
        "host: :\r\n",
        "host: a:99999\r\n",
    ] {
        // Even where the target has a host of its own (RFC 9112, 3.2).
        for target in ["/hello", "http://a/hello"] {
            let head = format!("GET {target} HTTP/1.1\r\n{hosts}\r\n");
            let answer = head_of(&gateway, head).await;
            assert_eq!(status(&answer), 400, "{target} {hosts:?}: {answer}");
        }
    }
    for host in ["a", "a:80", "a:", "[::1]", "[::1]:8080", "127.0.0.1:3000"] {
        let head = format!("GET /hello HTTP/1.1\r\nhost: {host}\r\n\r\n");
        assert_eq!(status(&head_of(&gateway, head).await), 200, "{host}");
    }
    assert_unharmed(&gateway).await;
}

#[tokio::test]
async fn content_lengths_that_make_no_sense_are_a_bad_request() {
    let gateway = gateway();
    for length in [
        "x",
        "-1",
        "+3",
        "3, 4",
        "3\r\ncontent-length: 4",
        "99999999999999999999999",
        "0x3",
        "",
    ] {
        let request = format!("POST /reads-the-whole-body HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\nabc");
        let answer = exchange(&gateway, request).await;
        assert_eq!(status(&answer), 400, "{length:?}: {answer}");
    }
    assert_unharmed(&gateway).await;
}

#[tokio::test]
async fn a_length_beside_a_transfer_encoding_smuggles_nothing() {
    let gateway = gateway();
    let smuggled = "GET /hello HTTP/1.1\r\nhost: x\r\n\r\n";
    for headers in [
        "content-length: 5\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 5",
    ] {
        let request = format!("POST /reports-its-request HTTP/1.1\r\nhost: x\r\n{headers}\r\n\r\n0\r\n\r\n{smuggled}");
        let answer = exchange(&gateway, request).await;
        // RFC 9112, 6.3: refuse it, or let the encoding win and close the connection.
        match status(&answer) {
            400 => {}
            200 => assert!(!answer.contains("header content-length"), "{answer}"),
            other => panic!("{other}: {answer}"),
        }
        assert!(
            !answer.contains("Hello from a package"),
            "the smuggled request was served: {answer}"
        );
    }
    assert_unharmed(&gateway).await;
}

#[tokio::test]
async fn a_transfer_encoding_that_does_not_end_chunked_is_refused() {
    let gateway = gateway();
    for encoding in [
        "identity",
        "chunked, gzip",
        "xchunked",
        "gzip",
        "chunked;q=1",
        "\"chunked\"",
        "chunked,",
        "\x0bchunked",
        "",
    ] {
        let answer = exchange(
            &gateway,
            format!(
                "POST /reads-the-whole-body HTTP/1.1\r\nhost: x\r\ntransfer-encoding: {encoding}\r\n\r\n\
                 0\r\n\r\n"
            ),
        )
        .await;
        assert!(matches!(status(&answer), 400 | 501), "{encoding}: {answer}");
    }
    assert_unharmed(&gateway).await;
}

#[tokio::test]
async fn a_body_in_more_than_chunks_is_a_bad_request_and_smuggles_nothing() {
    let gateway = gateway();
    let smuggled = "GET /hello HTTP/1.1\r\nhost: x\r\n\r\n";
    for encoding in [
        "gzip, chunked",
        "chunked, chunked",
        ", chunked",
        "chunked\r\ntransfer-encoding: chunked",
        "gzip\r\ntransfer-encoding: chunked",
    ] {
        let answer = exchange(
            &gateway,
            format!(
                "POST /reads-the-whole-body HTTP/1.1\r\nhost: x\r\ntransfer-encoding: {encoding}\r\n\r\n\
                 0\r\n\r\n{smuggled}"
            ),
        )
        .await;
        assert_eq!(status(&answer), 400, "{encoding}: {answer}");
        assert!(answer.contains("connection: close\r\n"), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    }
    let mut plain = gateway.raw().await;
    plain
        .send(
            "POST /reads-the-whole-body HTTP/1.1\r\nhost: x\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        )
        .await;
    assert_eq!(plain.response().await.body, "3");
}

#[tokio::test]
async fn a_tunnel_is_not_implemented_and_nothing_behind_its_request_is_served() {
    let gateway = gateway();
    let smuggled = "GET /hello HTTP/1.1\r\nhost: x\r\n\r\n";
    for target in ["example.com:443", "/hello", "http://x/hello"] {
        let answer = exchange(
            &gateway,
            format!("CONNECT {target} HTTP/1.1\r\nhost: x\r\n\r\n{smuggled}"),
        )
        .await;
        assert_eq!(status(&answer), 501, "{target}: {answer}");
        assert!(answer.contains("connection: close\r\n"), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    }
    let mut connection = gateway.http2().await;
    let request = http::Request::connect("example.com:443")
        .body(crate::harness::empty())
        .unwrap();
    let answered = connection.send_request(request).await.unwrap();
    assert_eq!(answered.status(), 501);
    assert_unharmed(&gateway).await;
}

#[tokio::test]
async fn a_method_that_begins_as_the_preface_of_http2_does_is_a_method() {
    let gateway = gateway();
    for method in ["PRINT", "PRI", "P", "PR"] {
        let mut connection = gateway.raw().await;
        connection
            .send(format!("{method} /hello HTTP/1.1\r\nhost: x\r\n\r\n"))
            .await;
        assert_eq!(connection.response().await.status(), 200, "{method}");
    }
}

#[tokio::test]
async fn a_broken_chunk_never_passes_for_a_whole_body() {
    let gateway = gateway();
    for chunk in [
        "zz\r\nabc\r\n0\r\n\r\n",
        "3\r\nabcdef\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nabc",
        "3",
    ] {
        let answer = exchange_cut_off(
            &gateway,
            format!("POST /reads-the-whole-body HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{chunk}"),
        )
        .await;
        let whole = status(&answer) == 200 && !answer.ends_with("cut short");
        assert!(!whole, "{chunk:?}: {answer}");
    }
    gateway.wait_for_in_flight("reads-the-whole-body", 0).await;
    assert_unharmed(&gateway).await;
}

#[tokio::test]
async fn a_body_cut_short_never_passes_for_a_whole_one() {
    let gateway = gateway();
    let answer = exchange_cut_off(
        &gateway,
        "POST /reads-the-whole-body HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nonly this",
    )
    .await;
    let whole = status(&answer) == 200 && !answer.ends_with("cut short");
    assert!(!whole, "{answer}");
    gateway.wait_for_in_flight("reads-the-whole-body", 0).await;
    assert_unharmed(&gateway).await;
}

#[tokio::test]
async fn an_absolute_target_is_routed_by_its_own_host() {
    let gateway = TestGateway::builder()
        .guest("hello")
        .package("report", &crate::harness::guest("reports_its_request"), "")
        .route_with("/x", "report", "host = \"shop.example.com\"")
        .start();
    let mut connection = gateway.raw().await;
    connection
        .send("GET http://shop.example.com/x?q=1 HTTP/1.1\r\nhost: other\r\n\r\n")
        .await;
    let response = connection.response().await;
    assert_eq!(response.status(), 200);
    assert!(
        response.body.contains("target: /x?q=1\n"),
        "{}",
        response.body
    );
    assert!(
        response.body.contains("authority: shop.example.com\n"),
        "{}",
        response.body
    );
}

#[tokio::test]
async fn targets_that_are_not_a_path_are_refused() {
    let gateway = gateway();
    for line in ["CONNECT example.com:443", "OPTIONS *", "GET ?x=1", "GET *"] {
        let answer = head_of(&gateway, format!("{line} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
        assert!(
            (400..500).contains(&status(&answer)) || status(&answer) == 501,
            "{line}: {answer}"
        );
    }
    assert_unharmed(&gateway).await;
}

#[tokio::test]
async fn percent_encoding_reaches_the_guest_as_it_was_sent() {
    let gateway = TestGateway::builder()
        .package("report", &crate::harness::guest("reports_its_request"), "")
        .route("/files/{name}", "report")
        .start();
    for name in ["a%20b", "a%2Fb", "caf%C3%A9", "%25", "a+b", "a;b=c"] {
        let reply = gateway.get(&format!("/files/{name}?q=%26")).await;
        assert_eq!(reply.status, 200, "{name}");
        let target = format!("target: /files/{name}?q=%26\n");
        assert!(reply.text().contains(&target), "{name}: {}", reply.text());
    }
    for broken in ["/files/%", "/files/%zz", "/files/%2"] {
        let status = gateway.get(broken).await.status.as_u16();
        assert!(matches!(status, 200 | 400 | 404), "{broken}: {status}");
    }
}

#[tokio::test]
async fn dot_segments_do_not_climb_out_of_a_route() {
    let gateway = TestGateway::builder()
        .package("report", &crate::harness::guest("reports_its_request"), "")
        .route_with("/public/{*rest}", "report", "strip_prefix = \"/public\"")
        .start();
    for path in [
        "/public/../private",
        "/public/x/../../private",
        "/public/%2e%2e/private",
        "/public/%2E./private",
        "/public/..",
    ] {
        let mut connection = gateway.raw().await;
        connection
            .send(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n"))
            .await;
        let response = connection.response().await;
        assert!(
            matches!(response.status(), 400 | 404),
            "{path}: {response:?}"
        );
    }
    // Dots that are not segments are names like any other.
    assert_eq!(gateway.get("/public/..hidden/a..b/...").await.status, 200);
}

#[tokio::test]
async fn double_slashes_are_no_host_and_no_route_of_another() {
    let gateway = gateway();
    for path in ["//hello", "//example.com/hello", "/hello//", "//"] {
        let mut connection = gateway.raw().await;
        connection
            .send(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n"))
            .await;
        let response = connection.response().await;
        assert!(
            matches!(response.status(), 400 | 404),
            "{path}: {response:?}"
        );
    }
    assert_unharmed(&gateway).await;
}

#[tokio::test]
async fn expect_100_continue_is_answered_before_the_body() {
    let gateway = gateway();
    let mut connection = gateway.raw().await;
    connection
        .send(
            "POST /reads-the-whole-body HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\
             expect: 100-continue\r\n\r\n",
        )
        .await;
    assert_eq!(status(&connection.head().await), 100);
    connection.send("abc").await;
    let response = connection.response().await;
    assert_eq!((response.status(), response.body.as_str()), (200, "3"));
}

#[tokio::test]
async fn expect_100_continue_for_a_missing_route_gets_its_404_without_the_body() {
    let gateway = gateway();
    let mut connection = gateway.raw().await;
    connection
        .send("POST /missing HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n")
        .await;
    assert_eq!(connection.response().await.status(), 404);
}

#[tokio::test]
async fn a_half_closed_client_gets_a_whole_answer_or_none() {
    let gateway = gateway();
    let answer = exchange(&gateway, "GET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(
        answer.is_empty() || answer.ends_with("Hello from a package\n"),
        "{answer}"
    );
    gateway.wait_for_in_flight("hello", 0).await;
    assert_unharmed(&gateway).await;
}

#[tokio::test]
async fn a_request_in_single_bytes_is_a_request() {
    let gateway = gateway();
    let mut connection = gateway.raw().await;
    for byte in b"POST /reads-the-whole-body HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc" {
        connection.send([*byte]).await;
    }
    assert_eq!(connection.response().await.body, "3");
}

#[tokio::test]
async fn idle_and_abandoned_connections_leave_the_gateway_serving() {
    let gateway = gateway();
    let mut idle = Vec::new();
    for beginning in [
        "",
        "G",
        "GET /hello HTTP/1.1\r\nhost: x\r\n",
        "PRI * HTTP/2.0\r\n",
    ]
    .repeat(50)
    {
        let mut connection = gateway.raw().await;
        connection.send(beginning).await;
        idle.push(connection);
    }
    assert_unharmed(&gateway).await;
    drop(idle);
    until("an answer after they left", || async {
        gateway.get("/hello").await.status == 200
    })
    .await;
}

#[tokio::test]
async fn http2_garbage_closes_only_its_own_connection() {
    let gateway = gateway();
    let mut good = gateway.http2().await;
    let garbage = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &[0xff; 64]].concat();
    exchange_cut_off(&gateway, garbage).await;
    let uri = format!("http://{}/hello", gateway.address);
    let request = http::Request::get(uri)
        .body(crate::harness::empty())
        .unwrap();
    assert_eq!(good.send_request(request).await.unwrap().status(), 200);
}
