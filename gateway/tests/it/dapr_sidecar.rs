//! Beside a sidecar: the same calls through it, whenever it comes and however it behaves, and what it calls back.
//!
//! The sidecar is a second gateway that serves its embedded building blocks over TCP.

use std::net::SocketAddr;

use http::Request;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::dapr_blocks::{SUBSCRIBES, state_scenario};
use crate::harness::{Builder, Reply, TestGateway, full, send_to, until};

const TOKEN: &str = "the-token-of-the-app";

/// An address that nobody listens on yet.
fn free_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// The sidecar, with a subscriber of its own.
fn sidecar(address: SocketAddr) -> Builder {
    TestGateway::builder()
        .dapr(&format!("listen = \"{address}\""))
        .guest_as("elsewhere", "takes_deliveries", SUBSCRIBES)
}

/// A gateway beside a sidecar.
fn beside(address: SocketAddr) -> Builder {
    TestGateway::builder()
        .dapr(&format!(
            "mode = \"sidecar\"\nsidecar = \"http://{address}\"\nlisten = \"127.0.0.1:0\""
        ))
        .guest_as(
            "shop",
            "calls_dapr",
            r#"dapr = { state = ["statestore"], publish = ["pubsub/*"], lock = ["lockstore"], invoke = ["*"], jobs = true }"#,
        )
}

#[tokio::test]
async fn state_through_a_sidecar_is_as_embedded() {
    let address = free_address();
    let _sidecar = sidecar(address).start();
    let gateway = beside(address).start();
    gateway.ready().await;
    state_scenario(&gateway, "shop").await;
}

#[tokio::test]
async fn state_through_a_real_sidecar_is_as_embedded() {
    let Ok(endpoint) = std::env::var("DAPR_HTTP_ENDPOINT") else {
        println!("skipped: DAPR_HTTP_ENDPOINT names no sidecar");
        return;
    };
    let token = std::env::var("DAPR_API_TOKEN").unwrap_or_default();
    let gateway = TestGateway::builder()
        .dapr("mode = \"sidecar\"\nlisten = \"127.0.0.1:0\"")
        .environment("DAPR_HTTP_ENDPOINT", &endpoint)
        .environment("DAPR_API_TOKEN", &token)
        .guest_as("shop", "calls_dapr", r#"dapr = { state = ["*"] }"#)
        .start();
    gateway.ready().await;
    state_scenario(&gateway, "shop").await;
}

#[tokio::test]
async fn packages_behind_one_sidecar_do_not_see_each_others_state_and_locks() {
    let address = free_address();
    let _sidecar = sidecar(address).start();
    let gateway = beside(address)
        .guest_as(
            "other",
            "calls_dapr",
            r#"dapr = { state = ["*"], lock = ["*"] }"#,
        )
        .start();
    gateway.ready().await;
    let item = r#"[{"key":"k","value":1}]"#;
    gateway
        .call("shop", "POST", "/v1.0/state/statestore", item)
        .await
        .is(204);
    gateway
        .call("other", "GET", "/v1.0/state/statestore/k", "")
        .await
        .is(204);
    let claim = r#"{"resourceId":"till","lockOwner":"me","expiryInSeconds":60}"#;
    for (package, free) in [("shop", true), ("other", true), ("shop", false)] {
        let path = "/v1.0-alpha1/lock/lockstore";
        let claimed = gateway.call(package, "POST", path, claim).await.is(200);
        assert_eq!(claimed.json(), json!({ "success": free }), "{package}");
    }
}

#[tokio::test]
async fn an_event_published_through_the_sidecar_reaches_its_subscribers() {
    let address = free_address();
    let sidecar = sidecar(address).start();
    sidecar.ready().await;
    let gateway = beside(address).start();
    gateway.ready().await;
    let path = "/v1.0/publish/pubsub/orders?metadata.cloudevent.id=e";
    let trace = [(
        "traceparent",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )];
    gateway
        .call_with("shop", "POST", path, &trace, "x")
        .await
        .is(204);
    let kept = sidecar.delivery("elsewhere", "e").await;
    let event: Value = serde_json::from_str(kept["body"].as_str().unwrap()).unwrap();
    assert_eq!(event["source"], "shop");
    let trace = event["traceparent"].as_str().unwrap();
    assert!(
        trace.contains("0af7651916cd43dd8448eb211c80319c"),
        "{event}"
    );
}

#[tokio::test]
async fn a_grant_is_asked_for_beside_a_sidecar_too() {
    let gateway = beside(free_address()).start();
    let denied = gateway
        .call("shop", "GET", "/v1.0/secrets/secretstore/k", "")
        .await;
    assert_eq!(denied.status, 403);
    assert_eq!(denied.json()["grant"], "secrets = [\"secretstore/k\"]");
}

#[tokio::test]
async fn a_sidecar_that_is_late_or_restarts_is_waited_for() {
    const KEY: &str = "/v1.0/state/statestore/k";
    let address = free_address();
    let gateway = beside(address).start();
    let not_there = async || {
        until("a gateway that is not ready", || async {
            gateway.admin_get("/readyz").await.status == 503
        })
        .await;
        let refused = gateway.call("shop", "GET", KEY, "").await;
        refused.fails(503, "ERR_SIDECAR_UNAVAILABLE");
        assert!(refused.header("retry-after").is_some());
    };
    not_there().await;

    let folder = TempDir::new().unwrap();
    let mut there = sidecar(address).start_in(folder.path());
    gateway.ready().await;
    let item = r#"[{"key":"k","value":7}]"#;
    gateway
        .call("shop", "POST", "/v1.0/state/statestore", item)
        .await
        .is(204);

    there.kill();
    not_there().await;
    let _there = sidecar(address).start_in(folder.path());
    gateway.ready().await;
    assert_eq!(gateway.call("shop", "GET", KEY, "").await.json(), 7);
}

/// A sidecar that answers everything with these bytes and closes, or never answers.
async fn scripted(reply: Option<&'static str>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = connection.read(&mut [0; 4096]).await;
                match reply {
                    Some(reply) => connection.write_all(reply.as_bytes()).await,
                    None => std::future::pending().await,
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn a_sidecar_that_answers_500_is_heard_and_not_taken_for_ready() {
    let reply = "HTTP/1.1 500 Oops\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno";
    let gateway = beside(scripted(Some(reply)).await).start();
    let answer = gateway
        .call("shop", "GET", "/v1.0/state/statestore/k", "")
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.text().as_str()),
        (500, "no")
    );
    assert_eq!(gateway.admin_get("/readyz").await.status, 503);
}

#[tokio::test]
async fn a_sidecar_that_hangs_ends_with_the_requests_deadline() {
    let gateway = beside(scripted(None).await)
        .limits("timeout = \"1s\"")
        .guest("hello")
        .start();
    let path = "/v1.0/state/statestore/k";
    gateway
        .call("shop", "GET", path, "")
        .await
        .assert_error(504, "deadline");
    gateway.wait_for_in_flight("shop", 0).await;
    assert_eq!(gateway.get("/hello").await.status, 200);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_never_a_short_success() {
    let reply = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{";
    let gateway = beside(scripted(Some(reply)).await).start();
    let cut = gateway
        .call("shop", "GET", "/v1.0/state/statestore/k", "")
        .await;
    assert_eq!(cut.status, 599, "{}", cut.text());
    let keys = r#"{"keys":["k"]}"#;
    let cut = gateway
        .call("shop", "POST", "/v1.0/state/statestore/bulk", keys)
        .await;
    cut.fails(502, "ERR_SIDECAR_ANSWER");
}

/// A gateway with two subscribers of one topic, and what a sidecar calls it by.
struct Called {
    gateway: TestGateway,
    port: SocketAddr,
    _sidecar: TestGateway,
}

impl Called {
    async fn start() -> Self {
        let address = free_address();
        let sidecar = sidecar(address).start();
        let takes = |route: &str| {
            format!(
                r#"env = {{ SUBSCRIPTIONS = '[{{"pubsubname":"pubsub","topic":"orders","route":"{route}"}}]' }}
                   dapr = {{ state = ["statestore"] }}"#
            )
        };
        let gateway = beside(address)
            .environment("APP_API_TOKEN", TOKEN)
            .guest_as("a", "takes_deliveries", &takes("/events/of-a"))
            .guest_as("b", "takes_deliveries", &takes("/events/of-b"))
            .route("/{*rest}", "a")
            .guest("reports_its_request")
            .start();
        gateway.ready().await;
        let port = gateway.dapr_address().await;
        Self {
            gateway,
            port,
            _sidecar: sidecar,
        }
    }

    /// A call on the app port, as the sidecar makes it.
    async fn back(&self, method: &str, path: &str, kind: &str, body: String) -> Reply {
        let request = Request::builder().method(method).uri(path);
        let request = request
            .header("host", "app")
            .header("dapr-api-token", TOKEN)
            .header("content-type", kind);
        send_to(self.port, request.body(full(body)).unwrap()).await
    }
}

#[tokio::test]
async fn the_sidecar_is_told_each_topic_once_and_its_events_reach_every_subscriber() {
    let called = Called::start().await;
    let list = called
        .back("GET", "/dapr/subscribe", "", String::new())
        .await;
    let list = list.is(200).json();
    let [topic] = list.as_array().unwrap().as_slice() else {
        panic!("not one topic: {list}");
    };
    assert_eq!(
        (&topic["pubsubname"], &topic["topic"]),
        (&json!("pubsub"), &json!("orders"))
    );
    let event = json!({"id": "e", "specversion": "1.0", "type": "t", "source": "s",
        "pubsubname": "pubsub", "topic": "orders", "data": 1});
    let route = topic["route"].as_str().unwrap();
    let kind = "application/cloudevents+json";
    let taken = called.back("POST", route, kind, event.to_string()).await;
    assert_eq!(taken.is(200).json(), json!({"status": "SUCCESS"}));
    for (package, path) in [("a", "/events/of-a"), ("b", "/events/of-b")] {
        let kept = called.gateway.delivered(package, "e").await.unwrap();
        assert_eq!(kept["path"], path);
        assert!(!kept.to_string().contains(TOKEN), "{kept}");
    }
}

#[tokio::test]
async fn jobs_bindings_and_configuration_reach_their_packages() {
    let called = Called::start().await;
    let back = async |method, path, body: &str| {
        let kind = "application/json";
        called
            .back(method, path, kind, body.to_owned())
            .await
            .status
            .as_u16()
    };
    assert_eq!(back("GET", "/dapr/config", "").await, 200);
    // As the job's name is with the sidecar: the length of the app-id, the app-id, the name.
    assert_eq!(back("POST", "/job/1-b-refund", "1").await, 200);
    let kept = called.gateway.delivered("b", "/job/refund").await;
    assert_eq!(kept.unwrap()["body"], "1");
    assert!(called.gateway.delivered("a", "/job/refund").await.is_none());
    assert_eq!(back("POST", "/job/nobodys", "1").await, 404);

    assert_eq!(back("OPTIONS", "/tick", "").await, 200);
    assert_eq!(back("POST", "/tick", "2").await, 200);
    for package in ["a", "b"] {
        let kept = called.gateway.delivered(package, "/tick").await;
        assert_eq!(kept.unwrap()["body"], "2", "{package}");
    }
    // From now on it is known for a binding's path.
    called
        .gateway
        .get("/tick")
        .await
        .assert_error(404, "no-route");
}

#[tokio::test]
async fn a_callback_without_the_apps_token_is_refused() {
    let called = Called::start().await;
    for token in [None, Some(""), Some("wrong")] {
        for (method, path) in [
            ("GET", "/dapr/subscribe"),
            ("POST", "/wasmgate-events/pubsub/orders"),
            ("POST", "/job/1-a-x"),
            ("POST", "/tick"),
            ("GET", "/any/path"),
        ] {
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header("host", "app");
            let request = match token {
                Some(token) => request.header("dapr-api-token", token),
                None => request,
            };
            let reply = send_to(called.port, request.body(full("{}")).unwrap()).await;
            assert_eq!(reply.status, 401, "{method} {path} with {token:?}");
        }
    }
    let health = Request::get("/healthz").header("host", "app");
    assert_eq!(
        send_to(called.port, health.body(full("")).unwrap())
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn what_the_sidecar_may_call_is_not_public() {
    let called = Called::start().await;
    let gateway = &called.gateway;
    assert_eq!(gateway.get("/any/path").await.status, 200);
    for path in [
        "/dapr/subscribe",
        "/dapr/config",
        "/events/of-a",
        "//events/of-a/",
        "/events%2Fof-a",
        "/job/1-a-refund",
        "/job/refund",
        "/configuration/configstore/k",
    ] {
        let request = gateway
            .request("POST", path)
            .header("dapr-api-token", TOKEN)
            .header("content-type", "application/cloudevents+json");
        let reply = gateway.send(request.body(full("{}")).unwrap()).await;
        reply.assert_error(404, "no-route");
    }
    assert!(gateway.delivered("a", "/events/of-a").await.is_none());
}

#[tokio::test]
async fn another_apps_invocation_comes_in_by_the_routes() {
    let called = Called::start().await;
    let request = async |path: &str| {
        let request = Request::get(path)
            .header("host", "app")
            .header("dapr-api-token", TOKEN)
            .header("dapr-caller-app-id", "other");
        send_to(called.port, request.body(full("")).unwrap()).await
    };
    assert_eq!(request("/any/path").await.status, 200);
    assert!(called.gateway.delivered("a", "/any/path").await.is_some());
    let report = request("/reports-its-request").await.text();
    assert!(
        report.contains("header dapr-caller-app-id: other\n"),
        "{report}"
    );
    assert!(!report.contains(TOKEN), "{report}");
    for path in ["/dapr/subscribe", "/events/of-a", "/job/1-a-x"] {
        assert_eq!(request(path).await.status, 404, "{path}");
    }
}
