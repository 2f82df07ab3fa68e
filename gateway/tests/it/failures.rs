//! Every way a guest can fail: its documented answer, its slot freed, its neighbours undisturbed.

use http::Request;

use crate::harness::{Reply, TestGateway, empty, is_broken, within};

/// A gateway with one worker: whatever a guest does wrong, its neighbour shares the thread.
fn beside_hello(guest: &str, timeout: &str) -> TestGateway {
    TestGateway::builder()
        .server("workers = 1")
        .limits(&format!("timeout = \"{timeout}\""))
        .guest(guest)
        .guest("hello")
        .start()
}

async fn assert_unharmed(gateway: &TestGateway, package: &str) {
    assert_eq!(gateway.get("/hello").await.text(), "Hello from a package\n");
    gateway.wait_for_in_flight(package, 0).await;
}

#[tokio::test]
async fn a_trap_answers_guest_trap_and_the_next_request_succeeds() {
    let gateway = beside_hello("panics", "30s");
    gateway.get("/panics").await.assert_error(502, "guest-trap");
    assert_unharmed(&gateway, "panics").await;
}

#[tokio::test]
async fn a_trap_is_told_to_the_log_and_not_to_the_client() {
    let gateway = beside_hello("panics", "30s");
    let reply = gateway.get("/panics").await;
    let request_id = reply.header("x-request-id").unwrap();
    for secret in ["temper", "wasm", "panic", "/"] {
        let title = serde_json::from_slice::<serde_json::Value>(&reply.body).unwrap()["title"].clone();
        assert!(!title.as_str().unwrap().contains(secret), "{title}");
    }
    assert!(
        !reply.text().contains("temper") && !reply.text().contains(".rs"),
        "{}",
        reply.text()
    );
    gateway
        .wait_for_event(&[("package", "panics"), ("request_id", request_id)])
        .await;
}

#[tokio::test]
async fn a_stack_overflow_answers_guest_trap() {
    let gateway = beside_hello("recurses_without_end", "30s");
    gateway
        .get("/recurses-without-end")
        .await
        .assert_error(502, "guest-trap");
    assert_unharmed(&gateway, "recurses-without-end").await;
}

#[tokio::test]
async fn memory_beyond_the_limit_answers_memory_limit() {
    let gateway = TestGateway::builder()
        .limits("memory = \"16MiB\"")
        .guest("allocates_without_end")
        .guest("hello")
        .start();
    for _ in 0..3 {
        gateway
            .get("/allocates-without-end")
            .await
            .assert_error(502, "memory-limit");
    }
    assert_unharmed(&gateway, "allocates-without-end").await;
}

#[tokio::test]
async fn a_guest_that_lives_with_refused_memory_answers_for_itself() {
    let gateway = TestGateway::builder()
        .limits("memory = \"16MiB\"")
        .guest("allocates_without_end")
        .start();
    let reply = gateway.get("/allocates-without-end?gently=1").await;
    let megabytes: u64 = reply.text().parse().unwrap();
    assert!((1..=16).contains(&megabytes), "{megabytes} MiB of 16");
}

#[tokio::test]
async fn a_guest_that_never_answers_is_guest_no_response() {
    let gateway = beside_hello("never_answers", "30s");
    gateway
        .get("/never-answers")
        .await
        .assert_error(502, "guest-no-response");
    assert_unharmed(&gateway, "never-answers").await;
}

#[tokio::test]
async fn a_guest_that_answers_with_an_error_is_a_bad_gateway_without_its_detail() {
    let gateway = beside_hello("answers_with_an_error", "30s");
    let reply = gateway.get("/answers-with-an-error").await;
    assert_eq!(reply.status, 502);
    assert!(reply.header("x-wasmgate-error").is_some());
    assert!(!reply.text().contains("secret detail"));
    assert_unharmed(&gateway, "answers-with-an-error").await;
}

#[tokio::test]
async fn a_guest_that_waits_for_ever_meets_its_deadline() {
    let gateway = beside_hello("hangs", "300ms");
    gateway.get("/hangs").await.assert_error(504, "deadline");
    assert_unharmed(&gateway, "hangs").await;
    let timeouts = gateway
        .metrics()
        .await
        .sum("wasmgate_timeouts_total", &[("package", "hangs")]);
    assert_eq!(timeouts, 1.0);
}

#[tokio::test]
async fn a_guest_that_spins_for_ever_meets_its_deadline_and_lets_its_neighbour_answer() {
    let gateway = beside_hello("spins", "10s");
    let spinning = gateway.get("/spins");
    let neighbour = async {
        gateway.wait_for_in_flight("spins", 1).await;
        for _ in 0..5 {
            assert_eq!(gateway.get("/hello").await.text(), "Hello from a package\n");
        }
        // The neighbour was answered during the spin, not after it.
        let metrics = gateway.metrics().await;
        assert_eq!(
            metrics.sum("wasmgate_instances_in_flight", &[("package", "spins")]),
            1.0
        );
    };
    let (reply, ()) = tokio::join!(spinning, neighbour);
    reply.assert_error(504, "deadline");
    assert_unharmed(&gateway, "spins").await;
}

#[tokio::test]
async fn a_deadline_after_the_head_breaks_the_body_off() {
    for guest in ["hangs", "spins"] {
        let gateway = beside_hello(guest, "3s");
        let request = gateway
            .request("GET", &format!("/{guest}?head=1"))
            .body(empty())
            .unwrap();
        assert!(
            is_broken(gateway.start_request(request).await).await,
            "{guest} ended cleanly"
        );
        assert_unharmed(&gateway, guest).await;
    }
}

#[tokio::test]
async fn a_guest_that_dies_after_its_head_never_looks_finished() {
    let gateway = beside_hello("dies_after_its_head", "30s");
    for target in ["/dies-after-its-head", "/dies-after-its-head?length=100"] {
        let request = gateway.request("GET", target).body(empty()).unwrap();
        match gateway.start_request(request).await {
            // A gateway that had not sent the head yet may still say what happened.
            Ok(response) if response.status() == 502 => {
                Reply::of(response)
                    .await
                    .unwrap()
                    .assert_error(502, "guest-trap");
            }
            response => assert!(is_broken(response).await, "{target} ended cleanly"),
        }
    }
    assert_unharmed(&gateway, "dies-after-its-head").await;
    gateway
        .wait_for_metric(
            "wasmgate_guest_traps_total",
            &[("package", "dies-after-its-head")],
            2,
        )
        .await;
}

#[tokio::test]
async fn a_guest_that_dies_after_its_head_resets_only_its_own_http2_stream() {
    let gateway = beside_hello("dies_after_its_head", "30s");
    let mut connection = gateway.http2().await;
    let request = |path| {
        let uri = format!("http://{}/{path}", gateway.address);
        Request::get(uri).body(empty()).unwrap()
    };
    let broken = within(
        "a response",
        connection.send_request(request("dies-after-its-head")),
    )
    .await;
    let refused = matches!(&broken, Ok(response) if response.status() == 502);
    assert!(refused || is_broken(broken).await);
    let next = within("a response", connection.send_request(request("hello")))
        .await
        .unwrap();
    assert_eq!(
        Reply::of(next).await.unwrap().text(),
        "Hello from a package\n"
    );
}

#[tokio::test]
async fn a_guest_that_lies_about_its_length_never_looks_finished() {
    let gateway = beside_hello("lies_about_its_length", "30s");
    for bytes in [3, 20] {
        let target = format!("/lies-about-its-length?bytes={bytes}");
        let request = gateway.request("GET", &target).body(empty()).unwrap();
        match gateway.start_request(request).await {
            Ok(response) if response.status() == 502 => {}
            Ok(response) if bytes > 10 => {
                // The announced part arrived; the rest must not run into the next response.
                if let Ok(reply) = Reply::of(response).await {
                    assert_eq!(reply.text(), "x".repeat(10));
                }
            }
            response => assert!(
                is_broken(response).await,
                "{bytes} bytes of 10 ended cleanly"
            ),
        }
    }
    let whole = gateway.get("/lies-about-its-length?bytes=10").await;
    assert_eq!(whole.text(), "xxxxxxxxxx");
    assert_unharmed(&gateway, "lies-about-its-length").await;
}

#[tokio::test]
async fn work_after_the_answer_is_cut_at_the_deadline() {
    let gateway = beside_hello("works_on_after_its_answer", "4s");
    assert_eq!(
        gateway.get("/works-on-after-its-answer").await.text(),
        "done"
    );
    assert_unharmed(&gateway, "works-on-after-its-answer").await;
}

#[tokio::test]
async fn a_client_that_leaves_before_the_head_stops_its_guest() {
    for guest in ["hangs", "spins"] {
        let gateway = beside_hello(guest, "10m");
        let mut connection = gateway.raw().await;
        connection
            .send(format!("GET /{guest} HTTP/1.1\r\nhost: x\r\n\r\n"))
            .await;
        gateway.wait_for_in_flight(guest, 1).await;
        drop(connection);
        assert_unharmed(&gateway, guest).await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_during_the_body_stops_its_guest() {
    let gateway = beside_hello("sends_bytes", "10m");
    let mut connection = gateway.raw().await;
    // Far more than any socket buffer holds: the guest is still at it when its client leaves.
    connection
        .send("GET /sends-bytes?n=1000000000 HTTP/1.1\r\nhost: x\r\n\r\n")
        .await;
    connection.head().await;
    gateway.wait_for_in_flight("sends-bytes", 1).await;
    drop(connection);
    assert_unharmed(&gateway, "sends-bytes").await;
}

#[tokio::test]
async fn a_cancelled_http2_stream_stops_its_guest() {
    let gateway = beside_hello("hangs", "10m");
    let mut connection = gateway.http2().await;
    let uri = format!("http://{}/hangs", gateway.address);
    let response = connection.send_request(Request::get(uri).body(empty()).unwrap());
    let stream = tokio::spawn(response);
    gateway.wait_for_in_flight("hangs", 1).await;
    stream.abort();
    assert_unharmed(&gateway, "hangs").await;
}
