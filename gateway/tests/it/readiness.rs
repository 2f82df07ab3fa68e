//! `/readyz` says why: as text for people, as JSON for programs.

use http::Request;
use serde_json::{Value, json};
use wasmgate_real_dapr::Place;

use crate::{
    dapr_sidecar::{SIDECAR, beside},
    harness::{Reply, Signal, TestGateway, empty, send_to, until},
};

async fn readyz(gateway: &TestGateway, accept: &str) -> Reply {
    let request = Request::get("/readyz")
        .header("host", "admin")
        .header("accept", accept);
    send_to(gateway.admin, request.body(empty()).unwrap()).await
}

/// The reasons of a gateway that is not ready, as JSON has them.
async fn reasons(gateway: &TestGateway) -> Vec<Value> {
    let reply = readyz(gateway, "application/json").await.is(503);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let told = reply.json();
    assert_eq!(told["ready"], false);
    told["reasons"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_ready_gateway_says_so_in_both_forms() {
    let gateway = TestGateway::builder().guest("hello").start();
    assert_eq!(gateway.admin_get("/readyz").await.is(200).text(), "ok\n");
    for accept in ["*/*", "text/plain, application/json+x"] {
        assert_eq!(readyz(&gateway, accept).await.text(), "ok\n", "{accept}");
    }
    let told = readyz(&gateway, "text/html, application/json;q=0.9").await;
    let expected = json!({"ready": true, "reasons": [], "details": []});
    assert_eq!(told.is(200).json(), expected);
}

#[tokio::test]
async fn a_package_that_does_not_tell_its_subscriptions_is_named() {
    let gateway = TestGateway::builder()
        .limits("timeout = \"10m\"")
        .guest_with("hangs", "dapr = {}")
        .guest("hello")
        .start();
    let reasons = reasons(&gateway).await;
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    assert_eq!(
        (&reasons[0]["reason"], &reasons[0]["package"]),
        (&json!("subscriptions-unknown"), &json!("hangs"))
    );
    let text = gateway.admin_get("/readyz").await.is(503).text();
    assert!(
        text.starts_with("not ready\nsubscriptions-unknown hangs: "),
        "{text}"
    );
    assert_eq!(
        gateway.metrics().await.find("wasmgate_ready", &[]),
        Some(0.0)
    );
}

#[tokio::test]
async fn a_package_that_fails_to_tell_its_subscriptions_is_a_detail_and_no_reason() {
    let gateway = TestGateway::builder()
        .guest_with("panics", "dapr = {}")
        .start();
    gateway.ready().await;
    let told = readyz(&gateway, "application/json").await.is(200).json();
    let details = told["details"].as_array().unwrap();
    assert_eq!(details[0]["package"], "panics", "{told}");
    assert_eq!(details[0]["reason"], "subscriptions-unknown");
}

#[tokio::test]
async fn a_sidecar_that_is_not_there_is_named_with_its_address() {
    let place = Place::new();
    let address = place.at(SIDECAR);
    let gateway = beside(address).start();
    let reasons = reasons(&gateway).await;
    assert_eq!(reasons[0]["reason"], "sidecar-missing", "{reasons:?}");
    let detail = reasons[0]["detail"].as_str().unwrap();
    assert!(detail.contains(&address.to_string()), "{detail}");
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.find("wasmgate_sidecar_ready", &[]), Some(0.0));
}

#[tokio::test]
async fn a_gateway_that_drains_says_so() {
    let gateway = TestGateway::builder().guest("hangs").start();
    let mut connection = gateway.raw().await;
    connection
        .send("GET /hangs HTTP/1.1\r\nhost: x\r\n\r\n")
        .await;
    gateway.wait_for_in_flight("hangs", 1).await;
    gateway.signal(Signal::Terminate);
    until("a gateway that is not ready", || async {
        gateway.admin_get("/readyz").await.status == 503
    })
    .await;
    let reasons = reasons(&gateway).await;
    assert_eq!(reasons[0]["reason"], "draining", "{reasons:?}");
}
