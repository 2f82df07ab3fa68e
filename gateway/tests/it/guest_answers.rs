//! Answers of guests that cannot be sent as they are: each has its reason, its id and its line in the log.

use crate::harness::{Reply, TestGateway, empty, is_broken};

/// Asks for it, and waits for the line that tells the operator of it.
async fn assert_told(gateway: &TestGateway, target: &str, reason: &str, error: &str) {
    let reply = gateway.get(target).await;
    reply.assert_error(502, reason);
    let id = reply.header("x-request-id").unwrap();
    let event = gateway
        .wait_for_event(&[("request_id", id), ("reason", reason)])
        .await;
    let told = event.field("error").unwrap_or_default();
    assert!(told.contains(error), "{target}: {told}");
}

#[tokio::test]
async fn statuses_that_are_none_are_guest_bad_response() {
    let gateway = TestGateway::builder()
        .guest("answers_with_a_status")
        .start();
    for status in [100, 101, 103, 199, 600, 999] {
        let target = format!("/answers-with-a-status?status={status}");
        let said = format!("{status} is no status");
        assert_told(&gateway, &target, "guest-bad-response", &said).await;
    }
    let last = gateway.get("/answers-with-a-status?status=599").await;
    assert_eq!(last.status.as_u16(), 599);
}

#[tokio::test]
async fn an_error_in_place_of_a_response_is_in_the_log() {
    let gateway = TestGateway::builder()
        .guest("answers_with_an_error")
        .guest("never_answers")
        .start();
    let said = "secret detail";
    assert_told(
        &gateway,
        "/answers-with-an-error",
        "guest-no-response",
        said,
    )
    .await;
    let said = "without a response";
    assert_told(&gateway, "/never-answers", "guest-no-response", said).await;
}

#[tokio::test]
async fn a_body_that_is_not_what_its_head_says_is_in_the_log() {
    let gateway = TestGateway::builder()
        .guest("gives_up_its_body")
        .guest("lies_about_its_length")
        .guest("announces_what_it_does_not_send")
        .start();
    for target in [
        "/gives-up-its-body",
        "/lies-about-its-length?bytes=3",
        "/announces-what-it-does-not-send?status=200&body=none",
    ] {
        let event = gateway
            .assert_fails_or_breaks_off(target, "guest-bad-response")
            .await;
        assert!(event.field("error").unwrap().contains("body"), "{event:?}");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_after_the_head_is_cut_and_in_the_log() {
    let gateway = TestGateway::builder().guest("gives_up_its_body").start();
    let request = gateway
        .request("GET", "/gives-up-its-body?slowly=1")
        .header("x-request-id", "cut-1")
        .body(empty());
    let response = gateway.start_request(request.unwrap()).await;
    assert!(is_broken(response).await);
    let told = [("request_id", "cut-1"), ("reason", "guest-bad-response")];
    gateway.wait_for_event(&told).await;
}

#[tokio::test]
async fn exit_with_success_after_a_finished_response_is_an_answer() {
    let gateway = TestGateway::builder().guest("exits").start();
    for _ in 0..20 {
        let reply = gateway.get("/exits?when=after").await;
        assert_eq!(
            (reply.status.as_u16(), reply.text().as_str()),
            (200, "an answer")
        );
    }
    let events = gateway.events();
    let failed = events
        .iter()
        .find(|event| event.has(&[("message", "the guest failed")]));
    assert!(failed.is_none(), "{failed:?}");
}

#[tokio::test]
async fn exit_without_a_whole_response_is_none() {
    let gateway = TestGateway::builder().guest("exits").start();
    assert_told(
        &gateway,
        "/exits",
        "guest-no-response",
        "without a response",
    )
    .await;
    assert_told(
        &gateway,
        "/exits?fails=1",
        "guest-no-response",
        "exited with 1",
    )
    .await;
    let request = gateway.request("GET", "/exits?when=during").body(empty());
    match gateway.start_request(request.unwrap()).await {
        Ok(response) if response.status() == 502 => {
            let reply = Reply::of(response).await.unwrap();
            reply.assert_error(502, "guest-no-response");
        }
        response => assert!(is_broken(response).await),
    }
}

#[tokio::test]
async fn a_guests_head_may_have_many_fields_but_not_any_size() {
    let gateway = TestGateway::builder().guest("sends_many_headers").start();
    let mut connection = gateway.raw().await;
    connection
        .send("GET /sends-many-headers?n=500&bytes=10 HTTP/1.1\r\nhost: x\r\n\r\n")
        .await;
    let head = connection.head().await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(head.matches("\r\nx-").count(), 501, "and the request id");
    let target = "/sends-many-headers?n=700&bytes=100";
    assert_told(&gateway, target, "guest-bad-response", "65536").await;
}
