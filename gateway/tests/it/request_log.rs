//! A line for each request: which requests have one, and what is in it.

use crate::harness::{Event, TestGateway, until};

fn lines(gateway: &TestGateway) -> Vec<Event> {
    let events = gateway.events().into_iter();
    events
        .filter(|event| event.has(&[("target", "request")]))
        .collect()
}

fn gateway(log: &str) -> TestGateway {
    TestGateway::builder()
        .server(log)
        .guest("hello")
        .guest("panics")
        .start()
}

#[tokio::test]
async fn each_request_has_a_line_with_its_package_route_status_size_and_ids() {
    let gateway = gateway("[log]\nrequests = \"all\"\n");
    let trace = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01";
    let request = gateway
        .request("GET", "/hello?token=secret")
        .header("traceparent", trace);
    let reply = gateway
        .send(request.body(crate::harness::empty()).unwrap())
        .await;
    let id = reply.header("x-request-id").unwrap().to_owned();
    gateway
        .wait_for_event(&[
            ("target", "request"),
            ("level", "INFO"),
            ("http.request.method", "GET"),
            ("url.path", "/hello"),
            ("http.route", "/hello"),
            ("package", "hello"),
            ("request_id", &id),
            ("trace_id", "0123456789abcdef0123456789abcdef"),
        ])
        .await;
    let log = gateway.log();
    let line = log.lines().find(|line| line.contains(&id)).unwrap();
    assert!(
        line.contains("\"http.response.status_code\":200,\"http.response.body.size\":21,\"duration_ms\":"),
        "{line}"
    );
    assert!(
        !log.contains("secret"),
        "a query is nobody's business: {log}"
    );
}

#[tokio::test]
async fn unless_said_those_that_fail_have_a_line_and_no_others() {
    let gateway = gateway("");
    gateway.get("/hello").await;
    gateway.get("/nowhere").await;
    let reply = gateway.get("/panics").await;
    let id = reply.header("x-request-id").unwrap();
    gateway
        .wait_for_event(&[
            ("target", "request"),
            ("level", "WARN"),
            ("request_id", id),
            ("error.type", "guest-trap"),
        ])
        .await;
    assert_eq!(lines(&gateway).len(), 1, "{}", gateway.log());
}

#[tokio::test]
async fn a_sample_and_every_failure_have_a_line_or_none_at_all() {
    let sampled = TestGateway::builder()
        .server("workers = 1\n[log]\nrequests = \"1/10\"")
        .guest("hello")
        .guest("panics")
        .start();
    for _ in 0..20 {
        sampled.get("/hello").await;
    }
    sampled.get("/panics").await;
    until("three lines", || async { lines(&sampled).len() == 3 }).await;
    let silent = gateway("[log]\nrequests = \"none\"\n");
    let reply = silent.get("/panics").await;
    let id = reply.header("x-request-id").unwrap();
    silent
        .wait_for_event(&[("message", "the guest failed"), ("request_id", id)])
        .await;
    assert_eq!(lines(&silent).len(), 0);
}

#[tokio::test]
async fn a_trap_is_told_in_a_few_lines_that_a_person_can_read() {
    let gateway = gateway("");
    let reply = gateway.get("/panics").await;
    let id = reply.header("x-request-id").unwrap();
    let event = gateway
        .wait_for_event(&[("message", "the guest failed"), ("request_id", id)])
        .await;
    let told = event.field("error").unwrap();
    assert!(
        told.starts_with("wasm trap: wasm `unreachable` instruction executed\n    "),
        "{told}"
    );
    // The tests' guests are without names.
    assert!(
        told.contains("strip=debuginfo") && told.lines().count() < 12,
        "{told}"
    );
}
