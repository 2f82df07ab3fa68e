//! What a service answers, and every way in which it can fail to.

use http::Request;

use super::{assert_unharmed, beside_hello};
use crate::harness::{Reply, TestGateway, empty, is_broken, until, within};

#[tokio::test]
async fn a_greeting_is_answered_whole_over_both_versions_of_http() {
    let gateway = TestGateway::builder().guest("p3_hello").start();
    let reply = gateway.get_with_length("/p3-hello").await;
    assert_eq!(reply.text(), "Hello from a package\n");
    assert_eq!(reply.header("content-length"), Some("21"));
    let mut connection = gateway.http2().await;
    let uri = format!("http://{}/p3-hello", gateway.address);
    let response = connection.send_request(Request::get(uri).body(empty()).unwrap());
    let reply = Reply::of(within("a response", response).await.unwrap()).await;
    assert_eq!(reply.unwrap().text(), "Hello from a package\n");
}

#[tokio::test]
async fn the_request_is_what_a_guest_of_0_2_would_see() {
    let gateway = beside_hello("", "").start();
    let request = gateway
        .request("PUT", "/new/request?a=b")
        .header("x-test", "value")
        .header("connection", "keep-alive")
        .header("x-wasmgate-error", "forged");
    let text = gateway.send(request.body(empty()).unwrap()).await.text();
    let host = gateway.address.to_string();
    let first = format!("Method::Put Some(Scheme::Http) Some({host:?}) Some(\"/new/request?a=b\")");
    assert_eq!(text.lines().next(), Some(&*first), "{text}");
    assert!(
        text.contains("x-test: value") && text.contains("x-request-id: "),
        "{text}"
    );
    assert!(
        !text.contains("\nconnection:") && !text.contains("forged"),
        "{text}"
    );
}

#[tokio::test]
async fn a_fresh_instance_answers_every_request() {
    let gateway = beside_hello("", "").start();
    for _ in 0..20 {
        assert_eq!(gateway.get("/new/count").await.text(), "1");
    }
}

#[tokio::test]
async fn each_failure_before_the_head_has_its_answer() {
    let gateway = beside_hello("memory = \"16MiB\"", "").start();
    for (path, reason) in [
        ("trap", "guest-trap"),
        ("recurse", "guest-trap"),
        ("error", "guest-no-response"),
        ("exit", "guest-no-response"),
        ("exit?code=1", "guest-no-response"),
        ("status?code=100", "guest-bad-response"),
        ("allocate", "memory-limit"),
    ] {
        let reply = gateway.get(&format!("/new/{path}")).await;
        assert!(!reply.text().contains("secret"), "{path}: {}", reply.text());
        assert_eq!(reply.status, 502, "{path}: {}", reply.text());
        reply.assert_error(502, reason);
        assert_unharmed(&gateway).await;
    }
    for word in ["its own secret", "the guest exited with 0"] {
        until(&format!("{word} in the log"), || async {
            gateway.log().contains(word)
        })
        .await;
    }
}

#[tokio::test]
async fn each_failure_behind_the_head_has_its_answer_if_nothing_has_gone_out_and_its_line_in_any_case() {
    let gateway = beside_hello("", "").start();
    for (path, reason, words) in [
        (
            "lies?length=3",
            "guest-bad-response",
            "its body ended in an error",
        ),
        (
            "lies?length=9",
            "guest-bad-response",
            "its body ended in an error",
        ),
        (
            "breaks-off",
            "guest-bad-response",
            "its body ended in an error",
        ),
        (
            "leaves-open",
            "guest-bad-response",
            "it left its body without an end",
        ),
        (
            "exits-within",
            "guest-no-response",
            "the guest exited with 0",
        ),
    ] {
        let event = gateway
            .assert_fails_or_breaks_off(&format!("/new/{path}"), reason)
            .await;
        let told = event.field("error").unwrap_or_default();
        assert!(told.contains(words), "{path}: {told}");
        assert_unharmed(&gateway).await;
    }
}

#[tokio::test]
async fn a_trap_after_the_answer_is_no_matter_of_the_client_and_one_within_it_is() {
    let gateway = beside_hello("timeout = \"3s\"", "").start();
    assert_eq!(gateway.get("/new/exits-after").await.text(), "done");
    // Neither has sent a byte by then, so that both can be told.
    for (path, status) in [("traps-after", 502), ("spins-after", 504)] {
        let request = gateway.request("GET", &format!("/new/{path}"));
        let response = gateway.start_request(request.body(empty()).unwrap()).await;
        match response {
            Ok(response) if response.status() == status => {}
            response => assert!(is_broken(response).await, "{path} ended cleanly"),
        }
        assert_unharmed(&gateway).await;
    }
}

#[tokio::test]
async fn what_is_done_after_the_answer_counts_until_its_deadline() {
    let gateway = beside_hello(
        "timeout = \"6s\"",
        "limits = { concurrency = 1, queue = 0 }",
    )
    .start();
    let reply = gateway.get("/new/works-on").await;
    assert_eq!((reply.status.as_u16(), &*reply.text()), (200, "done"));
    gateway.wait_for_in_flight("new", 1).await;
    gateway
        .get("/new/count")
        .await
        .assert_error(503, "overloaded");
    assert_unharmed(&gateway).await;
    assert_eq!(gateway.get("/new/count").await.text(), "1");
    let metrics = gateway.metrics().await;
    assert_eq!(
        metrics.sum("wasmgate_timeouts_total", &[("package", "new")]),
        1.0
    );
}

#[tokio::test]
async fn head_has_the_length_of_another_response_and_no_body() {
    let gateway = beside_hello("", "").start();
    for (path, length) in [
        ("lies?length=5", "5"),
        ("lies?length=900", "900"),
        ("count", "1"),
    ] {
        let mut connection = gateway.raw().await;
        connection
            .send(format!("HEAD /new/{path} HTTP/1.1\r\nhost: x\r\n\r\n"))
            .await;
        let head = connection.head().await;
        assert!(
            head.contains(&format!("content-length: {length}\r\n")),
            "{head}"
        );
        connection
            .send("GET /hello HTTP/1.1\r\nhost: x\r\n\r\n")
            .await;
        assert_eq!(connection.response().await.body, "Hello from a package\n");
    }
    let without = gateway.get("/new/status?code=204").await;
    assert_eq!((without.status.as_u16(), without.body.len()), (204, 0));
}
