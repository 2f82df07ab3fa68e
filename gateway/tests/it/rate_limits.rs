//! Rate limits of routes and packages: who is refused, for how long, and who notices nothing.

use std::net::Ipv4Addr;

use crate::{
    connections::from,
    harness::{TestGateway, empty, until},
};

/// Long enough that nothing comes back while a test runs.
const SLOW: &str = "per = \"1h\"";

async fn status_from(gateway: &TestGateway, client: Ipv4Addr, more: &str) -> u16 {
    let mut connection = from(client, gateway).await;
    let request = format!("GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{more}\r\n");
    connection.send(request).await;
    connection.response().await.status()
}

fn limited(limit: &str) -> TestGateway {
    TestGateway::builder()
        .guest_with("hello", &format!("rate_limit = {{ {limit} }}"))
        .guest("echo")
        .start()
}

#[tokio::test]
async fn a_client_beyond_its_rate_waits_and_another_notices_nothing() {
    let gateway = limited(&format!("requests = 3, {SLOW}"));
    let (flood, other) = (Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 9));
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(status_from(&gateway, flood, "").await);
    }
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    let refused = gateway.get("/hello").await;
    refused.assert_error(429, "rate-limited");
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1000..=1201).contains(&seconds), "{seconds}");
    assert_eq!(status_from(&gateway, other, "").await, 200);
    assert_eq!(
        gateway.get("/echo").await.status,
        200,
        "another package has no limit"
    );
    let labels = [("package", "hello"), ("reason", "rate-limited")];
    let counted = gateway
        .metrics()
        .await
        .sum("wasmgate_refusals_total", &labels);
    assert_eq!(counted, 3.0);
    let labels = [("package", "hello"), ("route", "/hello"), ("status", "429")];
    let counted = gateway
        .metrics()
        .await
        .sum("wasmgate_requests_total", &labels);
    assert_eq!(counted, 3.0, "they are requests of the route, too");
}

#[tokio::test]
async fn requests_pass_again_at_the_rate() {
    let gateway = limited("requests = 1, per = \"1s\", by = \"all\"");
    until("a refusal", || async {
        gateway.get("/hello").await.status == 429
    })
    .await;
    until("the next request that passes", || async {
        gateway.get("/hello").await.status == 200
    })
    .await;
}

#[tokio::test]
async fn callers_are_told_apart_by_a_header_and_those_without_it_by_their_address() {
    let gateway = limited(&format!("requests = 1, by = \"header:X-Api-Key\", {SLOW}"));
    let here = Ipv4Addr::LOCALHOST;
    let mut statuses = Vec::new();
    for more in [
        "x-api-key: a\r\n",
        "x-api-key: a\r\n",
        "x-api-key: b\r\n",
        "",
        "",
    ] {
        statuses.push(status_from(&gateway, here, more).await);
    }
    assert_eq!(statuses, [200, 429, 200, 200, 429]);
    assert_eq!(
        status_from(&gateway, Ipv4Addr::new(127, 0, 0, 9), "").await,
        200
    );
}

#[tokio::test]
async fn a_route_has_a_limit_of_its_own_and_the_package_one_over_all_of_them() {
    let gateway = TestGateway::builder()
        .guest_with(
            "hello",
            &format!("rate_limit = {{ requests = 4, by = \"all\", {SLOW} }}"),
        )
        .route_with(
            "/scarce",
            "hello",
            &format!("rate_limit = {{ requests = 1, {SLOW} }}"),
        )
        .start();
    let mut statuses = Vec::new();
    for path in ["/scarce", "/scarce", "/hello", "/hello", "/hello", "/hello"] {
        let request = gateway.request("GET", path).body(empty()).unwrap();
        statuses.push(gateway.send(request).await.status.as_u16());
    }
    assert_eq!(statuses, [200, 429, 200, 200, 200, 429]);
}

#[tokio::test]
async fn what_was_counted_counts_on_after_a_reload_unless_the_limit_is_another() {
    let with = |limit: &str, more: &str| {
        TestGateway::builder()
            .guest_with(
                "hello",
                &format!("rate_limit = {{ requests = {limit}, by = \"all\", {SLOW} }}{more}"),
            )
            .route_with(
                "/scarce",
                "hello",
                &format!("rate_limit = {{ requests = 1, {SLOW} }}"),
            )
    };
    let gateway = with("3", "").start();
    let status = async |path: &str| gateway.get(path).await.status.as_u16();
    assert_eq!(status("/scarce").await, 200);
    assert_eq!(status("/hello").await, 200);
    for (changed, expected) in [
        // Another environment, and a route more, leave the limits what they are.
        (
            with("3", "\nenv = { A = \"1\" }").route("/more", "hello"),
            [429, 200, 429],
        ),
        (with("3", ""), [429, 429, 429]),
        (with("4", ""), [429, 200, 200]),
    ] {
        changed.write_to(gateway.folder());
        assert_eq!(crate::reload::reload(&gateway).await.status, 200);
        let mut statuses = Vec::new();
        for path in ["/scarce", "/hello", "/hello"] {
            statuses.push(status(path).await);
        }
        assert_eq!(statuses, expected);
    }
}
