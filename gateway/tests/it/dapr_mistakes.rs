//! Bad input to the building blocks from guests, and guests that fail them.

use serde_json::json;

use crate::harness::{Builder, TestGateway};

pub(crate) const STORE: &str = "/v1.0/state/statestore";

/// A package that may use everything.
pub(crate) fn shop() -> Builder {
    TestGateway::builder().limits("request_body = \"64MiB\"").guest_as(
        "shop",
        "calls_dapr",
        r#"dapr = { state = ["*"], publish = ["*/*"], lock = ["*"], bindings = ["*"], secrets = ["*"], configuration = ["*"], jobs = true }"#,
    )
}

#[tokio::test]
async fn bad_calls_are_refused_each_with_its_documented_error() {
    let gateway = shop().start();
    let transaction = format!("{STORE}/transaction");
    let malformed = "ERR_MALFORMED_REQUEST";
    for (method, path, body, status, code) in [
        ("POST", STORE, "[{", 400, malformed),
        (
            "POST",
            STORE,
            r#"[{"key":"a||b","value":1}]"#,
            400,
            malformed,
        ),
        ("POST", STORE, r#"[{"key":"","value":1}]"#, 400, malformed),
        ("GET", "/v1.0/state/statestore/a%7C%7Cb", "", 400, malformed),
        (
            "POST",
            "/v1.0/state/none",
            "[]",
            400,
            "ERR_STATE_STORE_NOT_FOUND",
        ),
        (
            "GET",
            "/v1.0/state/none/k",
            "",
            400,
            "ERR_STATE_STORE_NOT_FOUND",
        ),
        ("POST", &transaction, "nonsense", 400, malformed),
        (
            "POST",
            "/v1.0/publish/none/t",
            "1",
            404,
            "ERR_PUBSUB_NOT_FOUND",
        ),
        (
            "POST",
            "/v1.0/publish/pubsub/",
            "1",
            404,
            "ERR_DIRECT_INVOKE",
        ),
        (
            "POST",
            "/v1.0/bindings/none",
            r#"{"operation":"get"}"#,
            500,
            "ERR_INVOKE_OUTPUT_BINDING",
        ),
        (
            "GET",
            "/v1.0/secrets/none/k",
            "",
            401,
            "ERR_SECRET_STORE_NOT_FOUND",
        ),
        ("POST", "/v1.0-alpha1/lock/lockstore", "{", 400, malformed),
    ] {
        let reply = gateway.call("shop", method, path, body).await;
        assert_eq!(
            (reply.status.as_u16(), reply.json()["errorCode"].as_str()),
            (status, Some(code)),
            "{method} {path} {body}: {}",
            reply.text()
        );
    }
    gateway
        .call("shop", "GET", &format!("{STORE}/k"), "")
        .await
        .is(204);
}

#[tokio::test]
async fn a_job_that_cannot_be_scheduled_is_refused() {
    let gateway = shop().start();
    for job in [
        "{",
        "{}",
        r#"{"schedule":"sometimes"}"#,
        r#"{"schedule":"@every -1s"}"#,
        r#"{"dueTime":"yesterday"}"#,
    ] {
        let reply = gateway.call("shop", "POST", "/v1.0/jobs/j", job).await;
        assert_eq!(reply.status, 400, "{job}: {}", reply.text());
        assert!(reply.json()["errorCode"].is_string(), "{job}");
    }
}

#[tokio::test]
async fn a_value_is_kept_whole_up_to_the_limit_and_refused_beyond() {
    let gateway = shop().start();
    let item = |bytes: usize| json!([{ "key": "k", "value": "x".repeat(bytes) }]).to_string();
    gateway
        .call("shop", "POST", STORE, item(10 << 20))
        .await
        .fails(413, "ERR_BODY_TOO_LARGE");
    gateway
        .call("shop", "GET", &format!("{STORE}/k"), "")
        .await
        .is(204);
    gateway
        .call("shop", "POST", STORE, item(3 << 20))
        .await
        .is(204);
    let kept = gateway
        .call("shop", "GET", &format!("{STORE}/k"), "")
        .await
        .is(200);
    assert_eq!(kept.body.len(), (3 << 20) + 2);
    let event = "x".repeat(10 << 20);
    let reply = gateway
        .call("shop", "POST", "/v1.0/publish/pubsub/t", event)
        .await;
    assert_eq!(reply.status, 413);
}

#[tokio::test]
async fn a_subscriber_that_traps_every_time_ends_in_the_dead_letter_topic_and_disturbs_nobody() {
    let gateway = shop()
        .retries(2)
        .subscriber_with(
            "breaks",
            "traps_on_deliveries",
            "orders",
            r#","deadLetterTopic":"orders-dead""#,
        )
        .subscriber("beside", "takes_deliveries", "orders")
        .subscriber("undertaker", "takes_deliveries", "orders-dead")
        .start();
    gateway.ready().await;
    let path = "/v1.0/publish/pubsub/orders?metadata.cloudevent.id=e";
    gateway.call("shop", "POST", path, "x").await.is(204);
    gateway.delivery("beside", "e").await;
    gateway.delivery("undertaker", "e").await;
    gateway
        .wait_for_metric("wasmgate_dapr_queued_events", &[("app_id", "breaks")], 0)
        .await;
    // The first time and two more.
    let labels = [("package", "breaks")];
    gateway
        .wait_for_metric("wasmgate_guest_traps_total", &labels, 3)
        .await;
}

#[tokio::test]
async fn a_subscriber_that_traps_and_has_no_dead_letter_topic_keeps_its_event_where_an_operator_sees_it() {
    let gateway = shop()
        .retries(2)
        .subscriber("breaks", "traps_on_deliveries", "orders")
        .start();
    gateway.ready().await;
    let path = "/v1.0/publish/pubsub/orders";
    gateway.call("shop", "POST", path, "x").await.is(204);
    let labels = [
        ("app_id", "breaks"),
        ("topic", "orders"),
        ("state", "parked"),
    ];
    gateway
        .wait_for_metric("wasmgate_dapr_queued_events", &labels, 1)
        .await;
}

#[tokio::test]
async fn a_package_that_does_not_tell_its_subscriptions_keeps_the_gateway_unready_and_nobody_from_serving() {
    let gateway = TestGateway::builder()
        .limits("timeout = \"10m\"")
        .guest_with("hangs", "dapr = {}")
        .guest("hello")
        .start();
    assert_eq!(gateway.admin_get("/readyz").await.status, 503);
    assert_eq!(gateway.get("/hello").await.status, 200);
}
