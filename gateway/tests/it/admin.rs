//! The admin listener: health, metrics, and nothing of it on the public one.

use crate::harness::{TestGateway, empty};

fn gateway() -> TestGateway {
    TestGateway::builder()
        .guest("hello")
        .route("/items/{id}", "hello")
        .guest("panics")
        .guest("never_answers")
        .start()
}

#[tokio::test]
async fn a_gateway_that_serves_is_live_and_ready() {
    let gateway = gateway();
    for target in ["/livez", "/readyz"] {
        assert_eq!(gateway.admin_get(target).await.status, 200, "{target}");
    }
    assert_eq!(gateway.admin_get("/no-such-page").await.status, 404);
}

#[tokio::test]
async fn the_admin_pages_are_not_public() {
    let gateway = gateway();
    for target in ["/livez", "/readyz", "/metrics"] {
        gateway.get(target).await.assert_error(404, "no-route");
    }
}

#[tokio::test]
async fn metrics_are_prometheus_text() {
    let gateway = gateway();
    gateway.get("/hello").await;
    let reply = gateway.admin_get("/metrics").await;
    assert!(
        reply
            .header("content-type")
            .unwrap()
            .starts_with("text/plain")
    );
    for line in reply
        .text()
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        let value = line.rsplit_once(' ').map(|(_, value)| value.parse::<f64>());
        assert!(matches!(value, Some(Ok(_))), "not a sample: {line}");
    }
}

#[tokio::test]
async fn requests_are_counted_by_package_route_and_status() {
    let gateway = gateway();
    for target in [
        "/hello", "/hello", "/items/1", "/items/2", "/items/3", "/panics",
    ] {
        gateway.get(target).await;
    }
    let metrics = gateway.metrics().await;
    for (package, route, status, requests) in [
        ("hello", "/hello", "200", 2.0),
        ("hello", "/items/{id}", "200", 3.0),
        ("panics", "/panics", "502", 1.0),
    ] {
        let labels = [("package", package), ("route", route), ("status", status)];
        let counted = metrics.sum("wasmgate_requests_total", &labels);
        assert!(
            counted == requests,
            "{labels:?}: {counted}\n{}",
            metrics.text()
        );
        let timed = metrics.sum("wasmgate_request_duration_seconds_count", &labels[..2]);
        assert!(timed == requests, "{labels:?}: {timed}\n{}", metrics.text());
    }
}

#[tokio::test]
async fn instances_and_their_ends_are_counted() {
    let gateway = gateway();
    for target in ["/hello", "/panics", "/never-answers"] {
        gateway.get(target).await;
    }
    let metrics = gateway.metrics().await;
    for package in ["hello", "panics", "never-answers"] {
        let labels = [("package", package)];
        assert_eq!(
            metrics.sum("wasmgate_instantiation_seconds_count", &labels),
            1.0,
            "{package}"
        );
        let traps = if package == "panics" { 1.0 } else { 0.0 };
        assert_eq!(
            metrics.sum("wasmgate_guest_traps_total", &labels),
            traps,
            "{package}"
        );
        gateway.wait_for_in_flight(package, 0).await;
    }
    let packages = metrics.sum("wasmgate_compilations_total", &[]) + metrics.sum("wasmgate_cache_hits_total", &[]);
    assert_eq!(packages, 3.0, "each package is compiled or found compiled");
}

#[tokio::test]
async fn clients_cannot_add_series() {
    const NAMES: [&str; 3] = [
        "wasmgate_requests_total",
        "wasmgate_request_duration_seconds_count",
        "wasmgate_refusals_total",
    ];
    let gateway = gateway();
    let strangers = async |from: u32, to: u32| {
        for n in from..to {
            gateway.get(&format!("/items/{n}?q={n}")).await;
            gateway.get(&format!("/missing/{n}")).await;
            let request = gateway.request(&format!("M{n}"), &format!("/hello?{n}"));
            let request = request.header("x-host", format!("host-{n}"));
            gateway.send(request.body(empty()).unwrap()).await;
        }
        let metrics = gateway.metrics().await;
        NAMES.map(|name| metrics.count(name))
    };
    let few = strangers(0, 1).await;
    assert_eq!(strangers(1, 50).await, few);
}

#[tokio::test]
async fn the_admin_listener_answers_while_a_guest_spins_on_every_worker() {
    let gateway = TestGateway::builder()
        .server("workers = 1")
        .limits("timeout = \"10m\"")
        .guest("spins")
        .start();
    let mut connection = gateway.raw().await;
    connection
        .send("GET /spins HTTP/1.1\r\nhost: x\r\n\r\n")
        .await;
    gateway.wait_for_in_flight("spins", 1).await;
    assert_eq!(gateway.admin_get("/livez").await.status, 200);
}
