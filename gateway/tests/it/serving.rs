//! The plain case: a package answers, over every form of HTTP that the gateway speaks.

use http::Request;

use crate::harness::{Reply, TestGateway, empty, eventually, run, within};

fn hello() -> TestGateway {
    TestGateway::builder().guest("hello").start()
}

#[tokio::test]
async fn a_package_answers_on_its_route() {
    let gateway = hello();
    let reply = gateway.get("/hello").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.text(), "Hello from a package\n");
    assert_eq!(reply.header("content-type"), Some("text/plain"));
    assert_eq!(reply.header("x-wasmgate-error"), None);
}

#[tokio::test]
async fn the_start_prints_the_routes_with_their_packages() {
    let gateway = TestGateway::builder()
        .guest("hello")
        .route("/also/{name}", "hello")
        .start();
    gateway.get("/hello").await;
    let printed = gateway.printed();
    for path in ["/hello", "/also/{name}"] {
        let line = printed.lines().find(|line| line.contains(path));
        assert!(
            line.is_some_and(|line| line.contains("hello")),
            "no {path} in:\n{printed}"
        );
    }
}

#[tokio::test]
async fn routes_prints_the_table_without_serving() {
    let folder = tempfile::tempdir().unwrap();
    let toml = TestGateway::builder()
        .guest("hello")
        .route("/also/{name}", "hello")
        .toml();
    std::fs::write(folder.path().join("wasmgate.toml"), toml).unwrap();
    let output = run(folder.path(), &["routes"]);
    assert!(output.status.success());
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        printed.contains("/also/{name}") && !printed.contains("listening on"),
        "{printed}"
    );
}

#[tokio::test]
async fn check_accepts_a_good_configuration_without_serving() {
    let folder = tempfile::tempdir().unwrap();
    let toml = TestGateway::builder().guest("hello").toml();
    std::fs::write(folder.path().join("other-name.toml"), toml).unwrap();
    let output = run(folder.path(), &["check", "other-name.toml"]);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(!String::from_utf8_lossy(&output.stdout).contains("listening on"));
}

#[tokio::test]
async fn a_small_answer_carries_its_length_and_is_not_chunked() {
    let gateway = hello();
    let mut connection = gateway.raw().await;
    // It has none where a busy machine lets others go first before the guest has come to its end.
    let response = eventually(
        "an answer with its length",
        async || {
            let hello = "GET /hello HTTP/1.1\r\nhost: x\r\n\r\n";
            connection.send(hello).await;
            connection.response().await
        },
        |response| response.header("content-length").is_some(),
    )
    .await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.header("content-length"), Some("21"));
    assert_eq!(response.header("transfer-encoding"), None);
    assert_eq!(response.body, "Hello from a package\n");
}

#[tokio::test]
async fn head_answers_as_get_does_without_a_body() {
    let gateway = hello();
    let mut connection = gateway.raw().await;
    connection
        .send("HEAD /hello HTTP/1.1\r\nhost: x\r\n\r\n")
        .await;
    let head = connection.head().await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    connection
        .send("GET /hello HTTP/1.1\r\nhost: x\r\n\r\n")
        .await;
    let next = connection.response().await;
    assert_eq!(
        (next.status(), next.body.as_str()),
        (200, "Hello from a package\n")
    );
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let gateway = hello();
    let mut connection = gateway.http1().await;
    for _ in 0..50 {
        let request = gateway.request("GET", "/hello").body(empty()).unwrap();
        within("the connection", connection.ready())
            .await
            .expect("the connection is kept");
        let response = within("a response", connection.send_request(request))
            .await
            .unwrap();
        assert_eq!(
            Reply::of(response).await.unwrap().text(),
            "Hello from a package\n"
        );
    }
}

#[tokio::test]
async fn http_1_0_gets_an_answer_and_a_closed_connection() {
    let gateway = hello();
    let mut connection = gateway.raw().await;
    connection
        .send("GET /hello HTTP/1.0\r\nhost: x\r\n\r\n")
        .await;
    let answer = connection.rest().await;
    assert!(
        answer.contains(" 200 ") && answer.ends_with("Hello from a package\n"),
        "{answer}"
    );
    assert!(
        !answer.to_lowercase().contains("transfer-encoding"),
        "{answer}"
    );
}

#[tokio::test]
async fn http_1_0_keeps_a_connection_only_where_the_answer_has_a_length() {
    let gateway = TestGateway::builder()
        .guest("hello")
        .guest("sends_trailers")
        .start();
    let ask = |path: &str| format!("GET {path} HTTP/1.0\r\nconnection: keep-alive\r\n\r\n");
    let mut connection = gateway.raw().await;
    connection.send(ask("/missing")).await;
    let kept = connection.response().await;
    assert_eq!(kept.header("connection"), Some("keep-alive"), "{kept:?}");
    connection.send(ask("/sends-trailers")).await;
    let last = connection.rest().await;
    assert!(last.contains("connection: close\r\n"), "{last}");
    assert!(!last.contains("keep-alive"), "{last}");
    assert!(last.ends_with("\r\n\r\nbody"), "{last}");
}

#[tokio::test]
async fn a_client_may_ask_for_the_connection_to_close() {
    let gateway = hello();
    let mut connection = gateway.raw().await;
    connection
        .send("GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await;
    let answer = connection.rest().await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("package\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let gateway = TestGateway::builder()
        .guest("hello")
        .guest("reports_its_request")
        .guest("panics")
        .start();
    let mut connection = gateway.raw().await;
    let requests: String = [
        "/hello",
        "/reports-its-request?n=2",
        "/panics",
        "/missing",
        "/hello",
    ]
    .map(|target| format!("GET {target} HTTP/1.1\r\nhost: x\r\n\r\n"))
    .concat();
    connection.send(requests).await;
    assert_eq!(connection.response().await.body, "Hello from a package\n");
    assert!(
        connection
            .response()
            .await
            .body
            .contains("target: /reports-its-request?n=2\n")
    );
    assert_eq!(connection.response().await.status(), 502);
    assert_eq!(connection.response().await.status(), 404);
    assert_eq!(connection.response().await.body, "Hello from a package\n");
}

#[tokio::test]
async fn http2_by_prior_knowledge_serves_streams_side_by_side() {
    let gateway = hello();
    let connection = gateway.http2().await;
    let uri = format!("http://{}/hello", gateway.address);
    let streams = (0..50).map(|_| {
        let mut connection = connection.clone();
        let request = Request::get(&uri).body(empty()).unwrap();
        async move {
            let response = within("a response", connection.send_request(request))
                .await
                .unwrap();
            Reply::of(response).await.unwrap()
        }
    });
    for reply in futures_util::future::join_all(streams).await {
        assert_eq!(
            (reply.status.as_u16(), reply.text().as_str()),
            (200, "Hello from a package\n")
        );
    }
}

#[tokio::test]
async fn what_a_guest_answers_is_passed_on_as_it_is() {
    let gateway = TestGateway::builder()
        .guest("answers_with_a_status")
        .start();
    for status in [201, 204, 304, 404, 418, 500, 503] {
        let reply = gateway
            .get(&format!("/answers-with-a-status?status={status}"))
            .await;
        assert_eq!(reply.status, status);
        let cookies: Vec<_> = reply.headers.get_all("set-cookie").iter().collect();
        assert_eq!(cookies, ["a=1", "b=2"]);
        let words = if matches!(status, 204 | 304) {
            ""
        } else {
            "the guest's own words"
        };
        assert_eq!(reply.text(), words);
    }
}

#[tokio::test]
async fn a_guest_cannot_pass_its_answer_off_as_the_gateways_error() {
    let gateway = TestGateway::builder()
        .guest("answers_with_a_status")
        .start();
    let reply = gateway.get("/answers-with-a-status?status=502").await;
    assert_eq!(
        (reply.status.as_u16(), reply.header("x-wasmgate-error")),
        (502, None)
    );
}

#[tokio::test]
async fn a_request_body_that_the_guest_ignores_does_no_harm() {
    let gateway = hello();
    let mut connection = gateway.raw().await;
    let request = "POST /hello HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello";
    for _ in 0..3 {
        connection.send(request).await;
        assert_eq!(connection.response().await.body, "Hello from a package\n");
    }
}
