//! The reach of a package: what its `dapr` table names, and nothing without one.

use crate::harness::{Reply, TestGateway};

/// A call of every building block, and the block that it needs.
const CALLS: [(&str, &str, &str, &str); 17] = [
    ("GET", "/v1.0/state/statestore/k", "", "state"),
    (
        "POST",
        "/v1.0/state/statestore",
        r#"[{"key":"k","value":1}]"#,
        "state",
    ),
    ("DELETE", "/v1.0/state/statestore/k", "", "state"),
    (
        "POST",
        "/v1.0/state/statestore/bulk",
        r#"{"keys":["k"]}"#,
        "state",
    ),
    (
        "POST",
        "/v1.0/state/statestore/transaction",
        r#"{"operations":[]}"#,
        "state",
    ),
    ("POST", "/v1.0-alpha1/state/statestore/query", "{}", "state"),
    ("POST", "/v1.0/publish/pubsub/orders", "1", "publish"),
    ("POST", "/v1.0/publish/bulk/pubsub/orders", "[]", "publish"),
    ("GET", "/v1.0/invoke/hello/method/x", "", "invoke"),
    ("POST", "/v1.0/bindings/files", "{}", "bindings"),
    ("GET", "/v1.0/secrets/secretstore/key", "", "secrets"),
    ("GET", "/v1.0/secrets/secretstore/bulk", "", "secrets"),
    (
        "GET",
        "/v1.0/configuration/configstore?key=k",
        "",
        "configuration",
    ),
    ("POST", "/v1.0-alpha1/lock/lockstore", "{}", "lock"),
    ("POST", "/v1.0-alpha1/unlock/lockstore", "{}", "lock"),
    ("POST", "/v1.0/jobs/j", "{}", "jobs"),
    ("GET", "/v1.0/jobs/j", "", "jobs"),
];

/// Checks that a call was refused for want of a grant, and answers the grant that would do.
#[track_caller]
fn missing_grant(reply: &Reply) -> String {
    assert_eq!(reply.status, 403, "{}", reply.text());
    assert_eq!(
        reply.header("content-type"),
        Some("application/problem+json")
    );
    let problem = reply.json();
    assert_eq!(problem["status"], 403);
    assert!(problem["title"].is_string() && problem["type"].is_string());
    problem["grant"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn every_block_is_closed_without_its_grant_and_the_answer_names_it() {
    let gateway = TestGateway::builder()
        .guest("hello")
        .guest_as("bare", "calls_dapr", "dapr = {}")
        .start();
    for (method, path, body, block) in CALLS {
        let reply = gateway.call("bare", method, path, body).await;
        let grant = missing_grant(&reply);
        assert!(
            grant.starts_with(&format!("{block} = ")),
            "{method} {path}: {grant}"
        );
    }
}

#[tokio::test]
async fn the_grant_that_a_refusal_names_opens_the_call() {
    for (method, path, body, _) in CALLS {
        let with = |grants: &str| {
            TestGateway::builder()
                .guest("hello")
                .guest_as("shop", "calls_dapr", &format!("dapr = {{ {grants} }}"))
        };
        let refused = with("").start().call("shop", method, path, body).await;
        let grant = missing_grant(&refused);
        let opened = with(&grant).start().call("shop", method, path, body).await;
        assert_ne!(opened.status, 403, "{method} {path} with {grant}");
    }
}

#[tokio::test]
async fn a_grant_opens_only_what_it_names() {
    let gateway = TestGateway::builder()
        .guest("hello")
        .guest_as(
            "shop",
            "calls_dapr",
            r#"dapr = { state = ["other*"], publish = ["pubsub/order*"], invoke = ["hell?"], secrets = ["secretstore/a-*"] }"#,
        )
        .start();
    let granted = async |method: &str, path: &str| gateway.call("shop", method, path, "1").await.status != 403;
    assert!(!granted("GET", "/v1.0/state/statestore/k").await);
    assert!(granted("GET", "/v1.0/state/other-store/k").await);
    assert!(granted("POST", "/v1.0/publish/pubsub/orders").await);
    assert!(!granted("POST", "/v1.0/publish/pubsub/payments").await);
    assert!(!granted("POST", "/v1.0/publish/pubsub/payments%2Forders").await);
    assert!(granted("GET", "/v1.0/invoke/hello/method/x").await);
    assert!(!granted("GET", "/v1.0/invoke/shop/method/x").await);
    assert!(granted("GET", "/v1.0/secrets/secretstore/a-key").await);
    assert!(!granted("GET", "/v1.0/secrets/secretstore/b-key").await);
}

#[tokio::test]
async fn a_bulk_read_of_secrets_holds_only_granted_ones() {
    let gateway = TestGateway::builder()
        .guest_as(
            "shop",
            "calls_dapr",
            r#"dapr = { secrets = ["secretstore/a"] }"#,
        )
        .file(".wasmgate/secrets.json", r#"{"a": "1", "b": "2"}"#)
        .start();
    let path = "/v1.0/secrets/secretstore/bulk";
    let all = gateway.call("shop", "GET", path, "").await.is(200).json();
    assert_eq!(all, serde_json::json!({"a": {"a": "1"}}));
}

#[tokio::test]
async fn a_package_without_a_table_has_no_dapr() {
    // With and without a package beside it for which there are building blocks.
    for beside in ["", "dapr = {}"] {
        let gateway = TestGateway::builder()
            .guest_as("beside", "hello", beside)
            .guest_as("none", "calls_dapr", "")
            .start();
        for (method, path, body, _) in CALLS {
            let reply = gateway.call("none", method, path, body).await;
            missing_grant(&reply);
        }
        missing_grant(&gateway.call("none", "GET", "/v1.0/metadata", "").await);
        missing_grant(&gateway.call("none", "GET", "/v1.0/healthz", "").await);
    }
}

#[tokio::test]
async fn only_a_package_with_a_table_finds_dapr_in_its_environment() {
    let gateway = TestGateway::builder()
        .guest_as("granted", "reports_its_environment", "dapr = {}")
        .guest_as("closed", "reports_its_environment", "")
        .start();
    let granted = gateway.get("/granted").await.text();
    assert!(granted.contains("env APP_ID=granted\n"), "{granted}");
    assert!(
        granted.contains("env DAPR_HTTP_ENDPOINT=http://"),
        "{granted}"
    );
    let closed = gateway.get("/closed").await.text();
    assert!(
        !closed.contains("APP_ID") && !closed.contains("DAPR"),
        "{closed}"
    );
}

#[tokio::test]
async fn an_event_of_a_topic_that_is_not_granted_is_not_delivered() {
    let subscribes = |subscribe: &str| {
        format!(
            r#"env = {{ SUBSCRIPTIONS = '[{{"pubsubname":"pubsub","topic":"orders","route":"/orders"}}]' }}
               dapr = {{ state = ["statestore"], subscribe = ["{subscribe}"] }}"#
        )
    };
    let gateway = TestGateway::builder()
        .guest_as("shop", "calls_dapr", r#"dapr = { publish = ["pubsub/*"] }"#)
        .guest_as("may", "takes_deliveries", &subscribes("pubsub/*"))
        .guest_as(
            "may-not",
            "takes_deliveries",
            &subscribes("pubsub/payments"),
        )
        .start();
    gateway.ready().await;
    for id in ["1", "2"] {
        let path = format!("/v1.0/publish/pubsub/orders?metadata.cloudevent.id={id}");
        gateway.call("shop", "POST", &path, "x").await.is(204);
        gateway.delivery("may", id).await;
    }
    assert!(gateway.delivered("may-not", "1").await.is_none());
}

#[tokio::test]
async fn a_package_that_names_no_topic_gets_none_but_what_an_operator_declares() {
    let package = |subscribe: &str| {
        format!(
            r#"env = {{ SUBSCRIPTIONS = '[{{"pubsubname":"pubsub","topic":"orders","route":"/orders"}}]' }}
               dapr = {{ state = ["statestore"]{subscribe} }}"#
        )
    };
    let declared = |name: &str, topic: &str, scopes: &str| {
        format!(
            "
---
apiVersion: dapr.io/v2alpha1
kind: Subscription
metadata: {{name: {name}}}
spec: {{pubsubname: pubsub, topic: {topic}, routes: {{default: /{name}}}}}
{scopes}"
        )
    };
    let files = "
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: pubsub}
spec: {type: pubsub.in-memory, version: v1}
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: statestore}
spec: {type: state.sqlite, version: v1}"
        .to_owned()
        + &declared("for-all", "news", "")
        + &declared("for-the-granted", "offers", "")
        + &declared("for-two", "alarms", "scopes: [absent, empty]");
    let gateway = TestGateway::builder()
        .file("components/all.yaml", &files)
        .guest_as("shop", "calls_dapr", r#"dapr = { publish = ["pubsub/*"] }"#)
        .guest_as("absent", "takes_deliveries", &package(""))
        .guest_as("empty", "takes_deliveries", &package(", subscribe = []"))
        .guest_as(
            "named",
            "takes_deliveries",
            &package(r#", subscribe = ["pubsub/orders", "pubsub/offers"]"#),
        )
        .start();
    gateway.ready().await;
    for topic in ["orders", "offers", "news", "alarms"] {
        let path = format!("/v1.0/publish/pubsub/{topic}?metadata.cloudevent.id={topic}");
        gateway.call("shop", "POST", &path, "x").await.is(204);
    }
    for (package, taken) in [
        ("absent", ["news", "alarms"].as_slice()),
        ("empty", &["news", "alarms"]),
        ("named", &["orders", "offers", "news"]),
    ] {
        for topic in taken {
            gateway.delivery(package, topic).await;
        }
    }
    gateway
        .wait_for_metric("wasmgate_dapr_queued_events", &[], 0)
        .await;
    for (package, closed) in [
        ("absent", ["orders", "offers"].as_slice()),
        ("empty", &["orders", "offers"]),
        ("named", &["alarms"]),
    ] {
        for topic in closed {
            let kept = gateway.delivered(package, topic).await;
            assert!(kept.is_none(), "{package}: {topic}");
        }
    }
    // It is told which line to add, and where.
    gateway.wait_for_words("to [package.absent.dapr]").await;
}
