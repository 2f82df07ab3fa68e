//! The building blocks' own ways into a package are closed to everyone else.

use crate::{
    dapr_blocks::SUBSCRIBES,
    harness::{TestGateway, empty, full, send_to},
};

const CRON: &str = "
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: tick}
spec: {type: bindings.cron, version: v1, metadata: [{name: schedule, value: '@every 1h'}, {name: route, value: /ticks/hourly}]}
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: statestore}
spec: {type: state.sqlite, version: v1}
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: pubsub}
spec: {type: pubsub.in-memory, version: v1}
";

/// Paths by which the building blocks call `taker`.
const INTERNAL: [&str; 7] = [
    "/dapr/subscribe",
    "/dapr/config",
    "/dapr",
    "/events/orders",
    "/job/refund",
    "/configuration/configstore/key",
    "/ticks/hourly",
];

/// A package whose every path is routed, plainly and below a prefix, and one that may invoke it.
fn gateway() -> TestGateway {
    TestGateway::builder()
        .file("components/all.yaml", CRON)
        .guest_as("shop", "calls_dapr", r#"dapr = { invoke = ["*"] }"#)
        .guest_as("taker", "takes_deliveries", SUBSCRIBES)
        .route("/{*rest}", "taker")
        .route_with("/below/{*rest}", "taker", "strip_prefix = \"/below\"")
        .start()
}

/// Ways to write a path that the guest may take for the same one.
fn spellings(path: &str) -> Vec<String> {
    let last = path.rsplit('/').next().unwrap();
    let encoded: String = last.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let parent = path.strip_suffix(last).unwrap();
    vec![
        path.to_owned(),
        format!("{path}?a=b"),
        format!("{path}/"),
        format!("/{path}"),
        path.replace('/', "//"),
        format!("{parent}{encoded}"),
        format!("/a/..{path}"),
        format!("/a/%2e%2e{path}"),
        format!("/.{path}"),
        path.replacen("/", "/%2F", 1),
        path.to_uppercase(),
        format!("{path};x"),
        format!("{};v=1", path.replace('/', ";x/")).replacen(";x", "", 1),
        format!("/a/..;x{path}"),
    ]
}

#[tokio::test]
async fn no_route_from_outside_leads_to_an_internal_path() {
    let gateway = gateway();
    gateway.ready().await;
    assert_eq!(gateway.get("/free/path").await.status, 200);
    assert_eq!(gateway.get("/below/free/path").await.status, 200);
    for path in INTERNAL {
        for spelling in spellings(path) {
            for target in [spelling.clone(), format!("/below{spelling}")] {
                for method in ["GET", "POST", "OPTIONS"] {
                    let request = gateway.request(method, &target).body(empty()).unwrap();
                    let reply = gateway.send(request).await;
                    let status = reply.status.as_u16();
                    assert!(matches!(status, 400 | 404), "{method} {target}: {status}");
                    assert_ne!(reply.header("x-wasmgate-error"), None, "{method} {target}");
                }
            }
        }
    }
}

#[tokio::test]
async fn internal_paths_are_closed_from_the_first_request_on_although_a_package_is_slow_to_tell_them() {
    let subscriptions = r#"[{"pubsubname":"pubsub","topic":"orders","route":"/events/orders"}]"#;
    let package = format!(
        "env = {{ THINKS_MS = \"500\", SUBSCRIPTIONS = '{subscriptions}' }}\n\
         dapr = {{ state = [\"statestore\"], subscribe = [\"pubsub/orders\"] }}"
    );
    for mode in [
        "mode = \"embedded\"",
        "mode = \"sidecar\"\nlisten = \"127.0.0.1:0\"",
    ] {
        let gateway = TestGateway::builder()
            .dapr(mode)
            .guest_as("taker", "takes_deliveries", &package)
            .route("/{*rest}", "taker")
            .start();
        let reply = gateway.post("/events/orders", "{}").await;
        reply.assert_error(404, "no-route");
    }
}

#[tokio::test]
async fn another_packages_invocation_does_not_reach_an_internal_path() {
    let gateway = gateway();
    gateway.ready().await;
    let invoke = async |path: &str| {
        let path = format!("/v1.0/invoke/taker/method{path}");
        gateway
            .call("shop", "POST", &path, "{}")
            .await
            .status
            .as_u16()
    };
    assert_eq!(invoke("/free/path").await, 200);
    for path in INTERNAL {
        for spelling in spellings(path) {
            let status = invoke(&spelling).await;
            assert!(matches!(status, 400 | 404), "{spelling}: {status}");
        }
        let by_header = [("dapr-app-id", "taker")];
        let reply = gateway
            .call_with("shop", "POST", path, &by_header, "{}")
            .await;
        assert_eq!(reply.status, 404, "{path}");
    }
}

#[tokio::test]
async fn dapr_paths_are_closed_in_packages_without_dapr_too() {
    let gateway = TestGateway::builder()
        .route("/{*rest}", "hello")
        .guest("hello")
        .start();
    assert_eq!(gateway.get("/free").await.status, 200);
    for path in ["/dapr/subscribe", "//dapr/config", "/dapr"] {
        gateway.get(path).await.assert_error(404, "no-route");
    }
}

#[tokio::test]
async fn dapr_headers_from_outside_do_not_reach_a_guest() {
    let gateway = TestGateway::builder()
        .guest_as("granted", "reports_its_request", "dapr = {}")
        .guest_as("closed", "reports_its_request", "")
        .start();
    for package in ["granted", "closed"] {
        let request = gateway
            .request("GET", &format!("/{package}"))
            .header("dapr-app-id", "x")
            .header("Dapr-Caller-App-Id", "x")
            .header("dapr-api-token", "x")
            .header("x-passes", "x");
        let report = gateway.send(request.body(empty()).unwrap()).await.text();
        assert!(!report.to_lowercase().contains("header dapr-"), "{report}");
        assert!(report.contains("header x-passes: x"), "{report}");
    }
}

#[tokio::test]
async fn a_page_in_a_browser_calls_nothing_at_the_port_for_other_processes() {
    let listen = "listen = \"127.0.0.1:0\"\nallowed_hosts = [\"gate.internal\"]\n\
                  allowed_origins = [\"http://tools.internal\"]";
    let save = "/v1.0/state/statestore";
    for (token, host, header, status) in [
        (false, "localhost", ("accept", "*/*"), 204),
        (false, "127.0.0.1:3500", ("accept", "*/*"), 204),
        (false, "[::1]:3500", ("sec-fetch-site", "none"), 204),
        (false, "Gate.Internal:3500", ("accept", "*/*"), 204),
        (false, "localhost", ("origin", "http://tools.internal"), 204),
        (false, "evil.example", ("accept", "*/*"), 403),
        (false, "localhost.evil.example", ("accept", "*/*"), 403),
        (false, "localhost", ("origin", "http://evil.example"), 403),
        (false, "localhost", ("origin", "http://localhost"), 403),
        (false, "localhost", ("origin", "null"), 403),
        (false, "localhost", ("sec-fetch-site", "cross-site"), 403),
        (true, "evil.example", ("dapr-api-token", "t"), 204),
        (true, "localhost", ("accept", "*/*"), 401),
    ] {
        let builder = TestGateway::builder()
            .dapr(listen)
            .guest_with("hello", r#"dapr = { state = ["statestore"] }"#);
        let builder = match token {
            true => builder.environment("DAPR_API_TOKEN", "t"),
            false => builder,
        };
        let gateway = builder.start();
        gateway.ready().await;
        let address = gateway.dapr_address().await;
        let request = http::Request::post(save)
            .header("host", host)
            .header("content-type", "text/plain")
            .header(header.0, header.1);
        let request = request.body(full(r#"[{"key":"k","value":1}]"#)).unwrap();
        let reply = send_to(address, request).await;
        let told = (host, header, reply.text());
        assert_eq!(reply.status, status, "{told:?}");
        if status == 403 {
            assert!(told.2.contains("[dapr] allowed_"), "{told:?}");
        }
    }
}
