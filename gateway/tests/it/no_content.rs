//! Responses that have no content: nothing of a body goes out, over either version of HTTP, and their heads stand.

use http::Request;

use crate::harness::{Reply, TestGateway, empty, eventually, is_broken, within};

/// A guest that writes far more than anything on the way buffers.
const MUCH: u64 = 3 << 20;

fn gateway() -> TestGateway {
    TestGateway::builder()
        .guest("writes_where_no_body_may_be")
        .guest("announces_what_it_does_not_send")
        .guest("panics")
        .guest("hello")
        .start()
}

/// The answer over HTTP/2, whose clients take a body that may not be for a broken connection.
async fn over_http2(gateway: &TestGateway, method: &str, target: &str) -> Reply {
    let uri = format!("http://{}{target}", gateway.address);
    let request = Request::builder().method(method).uri(uri);
    let mut connection = gateway.http2().await;
    let response = connection.send_request(request.body(empty()).unwrap());
    let response = within("a response", response).await.unwrap();
    let reply = Reply::of(response).await.unwrap();
    // The connection is as good as before.
    let uri = format!("http://{}/hello", gateway.address);
    let next = connection.send_request(Request::get(uri).body(empty()).unwrap());
    let next = within("the next response", next).await.unwrap();
    assert_eq!(
        Reply::of(next).await.unwrap().text(),
        "Hello from a package\n"
    );
    reply
}

/// The answer over HTTP/1.1: its head, and what follows it on the connection before the next response's head.
async fn over_http1(gateway: &TestGateway, method: &str, target: &str) -> String {
    let mut connection = gateway.raw().await;
    connection
        .send(format!("{method} {target} HTTP/1.1\r\nhost: x\r\n\r\n"))
        .await;
    let head = connection.head().await;
    connection
        .send("GET /hello HTTP/1.1\r\nhost: x\r\n\r\n")
        .await;
    let next = connection.response().await;
    assert_eq!(next.body, "Hello from a package\n", "{head}{next:?}");
    head
}

fn length(head: &str) -> Option<&str> {
    head.lines()
        .find_map(|line| line.strip_prefix("content-length: "))
}

#[tokio::test]
async fn head_of_a_guest_that_writes_has_its_length_and_no_body() {
    let gateway = gateway();
    for target in ["/hello", "/writes-where-no-body-may-be?status=200&bytes=21"] {
        // There is none where a busy machine lets others go first before the guest has come to its end.
        let reply = eventually(
            "a length",
            async || over_http2(&gateway, "HEAD", target).await,
            |reply| reply.header("content-length").is_some(),
        )
        .await;
        assert_eq!((reply.status.as_u16(), reply.body.len()), (200, 0));
        assert_eq!(reply.header("content-length"), Some("21"), "{target}");
        let head = eventually(
            "a length",
            async || over_http1(&gateway, "HEAD", target).await,
            |head| length(head).is_some(),
        )
        .await;
        assert_eq!(length(&head), Some("21"), "{head}");
    }
}

#[tokio::test]
async fn statuses_without_content_have_none_whatever_the_guest_writes() {
    let gateway = gateway();
    for status in [204, 205, 304] {
        for bytes in [0, 5, MUCH] {
            let target = format!("/writes-where-no-body-may-be?status={status}&bytes={bytes}");
            let reply = over_http2(&gateway, "GET", &target).await;
            assert_eq!((reply.status.as_u16(), reply.body.len()), (status, 0));
            let head = over_http1(&gateway, "GET", &target).await;
            assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{head}");
            assert!(!head.contains("transfer-encoding"), "{head}");
            if status == 204 {
                assert_eq!(length(&head), None);
                assert_eq!(reply.header("content-length"), None);
            }
        }
    }
}

#[tokio::test]
async fn a_guest_whose_body_nobody_gets_is_read_to_its_end() {
    let gateway = gateway();
    for (method, status) in [("GET", 204), ("HEAD", 200)] {
        let target = format!("/writes-where-no-body-may-be?status={status}&bytes={MUCH}");
        let reply = over_http2(&gateway, method, &target).await;
        let id = reply.header("x-request-id").unwrap();
        gateway
            .wait_for_event(&[("request_id", id), ("message", "written to the end")])
            .await;
    }
    gateway
        .wait_for_in_flight("writes-where-no-body-may-be", 0)
        .await;
}

#[tokio::test]
async fn a_guest_that_writes_for_ever_into_nothing_is_stopped() {
    let gateway = gateway();
    let target = "/writes-where-no-body-may-be?status=204&bytes=4000000000";
    assert_eq!(gateway.get(target).await.status, 204);
    gateway
        .wait_for_in_flight("writes-where-no-body-may-be", 0)
        .await;
}

#[tokio::test]
async fn the_head_of_a_response_without_content_passes_as_it_stands() {
    let gateway = gateway();
    for rest in ["", "&body=none"] {
        let target = format!("/announces-what-it-does-not-send?status=200{rest}");
        let reply = over_http2(&gateway, "HEAD", &target).await;
        assert_eq!(reply.status, 200, "{target}: {}", reply.text());
        assert_eq!(reply.header("content-length"), Some("1234"));
        let head = over_http1(&gateway, "HEAD", &target).await;
        assert_eq!(length(&head), Some("1234"), "{head}");

        let target = format!("/announces-what-it-does-not-send?status=304{rest}");
        let reply = over_http2(&gateway, "GET", &target).await;
        assert_eq!(reply.status, 304);
        assert_eq!(reply.header("content-length"), Some("1234"));
        let head = over_http1(&gateway, "GET", &target).await;
        assert!(head.starts_with("HTTP/1.1 304"), "{head}");
        // A length that is no other response's is a lie.
        let target = format!("/announces-what-it-does-not-send?status=200{rest}");
        let request = gateway.request("GET", &target).body(empty()).unwrap();
        match gateway.start_request(request).await {
            Ok(reply) if reply.status() == 502 => {}
            reply => assert!(is_broken(reply).await, "{target} ended cleanly"),
        }
    }
}

#[tokio::test]
async fn head_of_a_problem_document_is_its_head() {
    let gateway = gateway();
    for (target, status) in [("/nowhere", 404), ("/panics", 502)] {
        let reply = over_http2(&gateway, "HEAD", target).await;
        assert_eq!((reply.status.as_u16(), reply.body.len()), (status, 0));
        assert_ne!(reply.header("content-length"), Some("0"));
        assert_eq!(
            reply.header("content-type"),
            Some("application/problem+json")
        );
        let head = over_http1(&gateway, "HEAD", target).await;
        assert_eq!(length(&head), reply.header("content-length"), "{head}");
    }
}
