//! Every building block through a guest, in embedded mode.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{Builder, TestGateway, until};

/// One subscription, for the environment of a package that takes deliveries.
pub(crate) const SUBSCRIBES: &str = r#"env = { SUBSCRIPTIONS = '[{"pubsubname":"pubsub","topic":"orders","route":"/events/orders"}]' }
dapr = { state = ["statestore"], subscribe = ["pubsub/*"] }"#;

const COMPONENTS: &str = "
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: statestore}
spec: {type: state.sqlite, version: v1}
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: tick}
spec: {type: bindings.cron, version: v1, metadata: [{name: schedule, value: '@every 200ms'}]}
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: files}
spec: {type: bindings.localstorage, version: v1, metadata: [{name: rootPath, value: files}]}
";

/// A package that may do everything, and one that takes what it is sent.
pub(crate) fn shop_and_taker() -> Builder {
    TestGateway::builder()
        .guest_as(
            "shop",
            "calls_dapr",
            r#"dapr = { state = ["statestore"], publish = ["pubsub/*"], invoke = ["*"], bindings = ["*"],
                secrets = ["secretstore/*"], configuration = ["configstore"], lock = ["lockstore"], jobs = true }"#
                .replace('\n', " ")
                .as_str(),
        )
        .guest_as("taker", "takes_deliveries", SUBSCRIBES)
}

#[tokio::test]
async fn an_event_is_delivered_to_the_package_that_subscribes() {
    let gateway = shop_and_taker().start();
    gateway.ready().await;
    let path = "/v1.0/publish/pubsub/orders?metadata.cloudevent.id=e1";
    let json = [("content-type", "application/json")];
    gateway
        .call_with("shop", "POST", path, &json, r#"{"latte":2}"#)
        .await
        .is(204);
    let kept = gateway.delivery("taker", "e1").await;
    assert_eq!(kept["path"], "/events/orders");
    assert_eq!(
        kept["headers"]["content-type"],
        "application/cloudevents+json"
    );
    let event: Value = serde_json::from_str(kept["body"].as_str().unwrap()).unwrap();
    assert_eq!(event["data"], json!({"latte": 2}));
    assert_eq!(
        (&event["source"], &event["topic"]),
        (&json!("shop"), &json!("orders"))
    );
}

#[tokio::test]
async fn events_published_in_bulk_are_all_delivered() {
    let gateway = shop_and_taker().start();
    gateway.ready().await;
    let event = |n: u32| {
        json!({"entryId": n.to_string(), "contentType": "application/cloudevents+json",
               "event": {"id": format!("b{n}"), "specversion": "1.0", "type": "t", "source": "s", "data": n}})
    };
    let events = json!([event(1), event(2), event(3)]).to_string();
    let json = [("content-type", "application/json")];
    gateway
        .call_with(
            "shop",
            "POST",
            "/v1.0/publish/bulk/pubsub/orders",
            &json,
            events,
        )
        .await
        .is(204);
    for id in ["b1", "b2", "b3"] {
        gateway.delivery("taker", id).await;
    }
}

#[tokio::test]
async fn events_wait_for_a_package_that_is_full_and_none_becomes_a_dead_letter() {
    const EVENTS: usize = 50;
    let taker = r#"limits = { concurrency = 1 }
        env = { SUBSCRIPTIONS = '[{"pubsubname":"pubsub","topic":"orders","route":"/e","deadLetterTopic":"orders-dead"}]' }
        dapr = { state = ["statestore"], subscribe = ["pubsub/*"] }"#;
    let gateway = TestGateway::builder()
        .guest_as("shop", "calls_dapr", r#"dapr = { publish = ["pubsub/*"] }"#)
        .guest_as("taker", "takes_deliveries", taker)
        .start();
    gateway.ready().await;
    let published = (0..EVENTS).map(|n| {
        let path = format!("/v1.0/publish/pubsub/orders?metadata.cloudevent.id=event-{n}");
        let gateway = &gateway;
        async move { gateway.call("shop", "POST", &path, "x").await.is(204) }
    });
    join_all(published).await;
    // Dead letters without a subscriber would stay in the queues.
    gateway
        .wait_for_metric("wasmgate_dapr_queued_events", &[], 0)
        .await;
    for n in 0..EVENTS {
        let kept = gateway.delivered("taker", &format!("event-{n}")).await;
        assert!(kept.is_some(), "event-{n} is lost");
    }
}

#[tokio::test]
async fn one_package_invokes_another_and_its_answer_passes_unchanged() {
    let gateway = shop_and_taker()
        .guest("reports_its_request")
        .guest("answers_with_a_status")
        .start();
    let path = "/v1.0/invoke/reports-its-request/method/a/b?c=d";
    let report = gateway
        .call("shop", "PUT", path, "body")
        .await
        .is(200)
        .text();
    for line in [
        "method: PUT\n",
        "target: /a/b?c=d\n",
        "header dapr-caller-app-id: shop\n",
        "header dapr-callee-app-id: reports-its-request\n",
    ] {
        assert!(report.contains(line), "{line}{report}");
    }
    let by_header = [("dapr-app-id", "reports-its-request")];
    let report = gateway
        .call_with("shop", "GET", "/a/b", &by_header, "")
        .await;
    assert!(
        report.text().contains("target: /a/b\n"),
        "{}",
        report.text()
    );
    let path = "/v1.0/invoke/answers-with-a-status/method/x?status=418";
    gateway.call("shop", "GET", path, "").await.is(418);
    gateway
        .call("shop", "GET", "/v1.0/invoke/nobody/method/x", "")
        .await
        .fails(500, "ERR_DIRECT_INVOKE");
}

#[tokio::test]
async fn packages_that_invoke_each_other_without_end_are_stopped_by_508() {
    let gateway = shop_and_taker().start();
    let path = "/v1.0/invoke/shop/method/shop";
    // The header of each level is in the headers of the one above, and so is a depth of the guest's own making.
    let levels = |depth: usize| {
        let names = (1..depth).flat_map(|level| {
            let sent = "x-send-".repeat(level);
            [
                (format!("{sent}x-call"), path),
                (format!("{sent}wasmgate-depth"), "0"),
            ]
        });
        names.collect::<Vec<_>>()
    };
    let invoke = async |depth: usize| {
        let mut request = gateway.request("GET", "/shop").header("x-call", path);
        for (name, value) in levels(depth) {
            request = request.header(name, value);
        }
        gateway
            .send(request.body(crate::harness::empty()).unwrap())
            .await
    };
    // The last one has nothing more to call.
    assert_eq!(invoke(16).await.status, 404);
    let refused = invoke(17).await;
    assert_eq!(refused.status, 508, "{}", refused.text());
    assert!(
        refused.text().contains("16 are the most"),
        "{}",
        refused.text()
    );
    let shallow = gateway.request("GET", "/shop").header("x-call", path);
    let shallow = shallow.header("wasmgate-depth", "16");
    let shallow = gateway
        .send(shallow.body(crate::harness::empty()).unwrap())
        .await;
    assert_eq!(shallow.status, 404, "a client cannot set it");
}

#[tokio::test]
async fn a_job_fires_at_the_package_that_scheduled_it() {
    let gateway = TestGateway::builder()
        .guest_as(
            "taker",
            "takes_deliveries",
            "dapr = { state = [\"statestore\"], jobs = true }",
        )
        .start();
    let job = json!({"dueTime": "100ms", "data": {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": "refund"}});
    gateway
        .call("taker", "POST", "/v1.0/jobs/refund", job.to_string())
        .await
        .is(204);
    let kept = gateway.delivery("taker", "/job/refund").await;
    assert!(kept["body"].as_str().unwrap().contains("refund"), "{kept}");
    until("a job that is gone", || async {
        gateway
            .call("taker", "GET", "/v1.0/jobs/refund", "")
            .await
            .status
            != 200
    })
    .await;
}

#[tokio::test]
async fn a_lock_has_one_owner_at_a_time() {
    let gateway = shop_and_taker().start();
    let try_lock = async |owner: &str| {
        let claim = json!({"resourceId": "till", "lockOwner": owner, "expiryInSeconds": 60});
        let path = "/v1.0-alpha1/lock/lockstore";
        gateway
            .call("shop", "POST", path, claim.to_string())
            .await
            .is(200)
            .json()["success"]
            .as_bool()
            .unwrap()
    };
    let unlock = async |owner: &str| {
        let claim = json!({"resourceId": "till", "lockOwner": owner});
        let path = "/v1.0-alpha1/unlock/lockstore";
        gateway
            .call("shop", "POST", path, claim.to_string())
            .await
            .is(200)
            .json()["status"]
            .clone()
    };
    assert!(try_lock("a").await);
    assert!(!try_lock("b").await);
    assert_eq!(unlock("b").await, 2);
    assert_eq!(unlock("a").await, 0);
    assert_eq!(unlock("a").await, 1);
    assert!(try_lock("b").await);
}

#[tokio::test]
async fn configuration_and_secrets_are_read() {
    let gateway = shop_and_taker()
        .file(
            ".wasmgate/configuration.json",
            r#"{"colour": "red", "size": {"value": "9", "version": "3"}}"#,
        )
        .file(
            ".wasmgate/secrets.json",
            r#"{"db": {"password": "pw"}, "key": "k"}"#,
        )
        .start();
    let path = "/v1.0/configuration/configstore?key=colour&key=size";
    let items = gateway.call("shop", "GET", path, "").await.is(200).json();
    assert_eq!(items["colour"]["value"], "red");
    assert_eq!(
        (&items["size"]["value"], &items["size"]["version"]),
        (&json!("9"), &json!("3"))
    );
    let secret = gateway
        .call("shop", "GET", "/v1.0/secrets/secretstore/db:password", "")
        .await;
    assert_eq!(secret.is(200).json(), json!({"db:password": "pw"}));
    let all = gateway
        .call("shop", "GET", "/v1.0/secrets/secretstore/bulk", "")
        .await
        .is(200);
    assert_eq!(all.json()["key"], json!({"key": "k"}));
    gateway
        .call("shop", "GET", "/v1.0/secrets/secretstore/none", "")
        .await
        .fails(500, "ERR_SECRET_GET");
}

#[tokio::test]
async fn a_change_of_configuration_is_told_to_the_package_that_asked() {
    let gateway = TestGateway::builder()
        .guest_as(
            "taker",
            "takes_deliveries",
            "dapr = { state = [\"statestore\"], configuration = [\"configstore\"] }",
        )
        .file(".wasmgate/configuration.json", r#"{"colour": "red"}"#)
        .start();
    gateway.ready().await;
    let path = "/v1.0/configuration/configstore/subscribe?key=colour";
    let answer = gateway.call("taker", "GET", path, "").await.is(200).json();
    assert!(answer["id"].is_string(), "{answer}");
    let file = gateway.folder().join(".wasmgate/configuration.json");
    std::fs::write(file, r#"{"colour": "green!"}"#).unwrap();
    let id = answer["id"].as_str().unwrap();
    let kept = gateway.delivery("taker", id).await;
    assert_eq!(kept["path"], "/configuration/configstore/colour");
    assert!(kept["body"].as_str().unwrap().contains("green!"), "{kept}");
}

#[tokio::test]
async fn bindings_write_files_and_tick() {
    let gateway = shop_and_taker()
        .file("components/all.yaml", COMPONENTS)
        .start();
    let bind = async |call: Value| {
        gateway
            .call("shop", "POST", "/v1.0/bindings/files", call.to_string())
            .await
    };
    let write = json!({"operation": "create", "data": "a latte", "metadata": {"fileName": "order.txt"}});
    bind(write).await.is(200);
    let file = json!({"fileName": "order.txt"});
    let read = bind(json!({"operation": "get", "metadata": file}))
        .await
        .is(200);
    assert_eq!(read.text(), "a latte");
    bind(json!({"operation": "delete", "metadata": file})).await;
    bind(json!({"operation": "get", "metadata": file}))
        .await
        .fails(500, "ERR_INVOKE_OUTPUT_BINDING");
    let kept = gateway.delivery("taker", "/tick").await;
    assert_eq!(kept["path"], "/tick");
}

#[tokio::test]
async fn errors_of_the_api_reach_the_guest_as_they_are() {
    let gateway = shop_and_taker().start();
    let unknown = gateway.call("shop", "GET", "/v1.0/no-such-thing", "").await;
    unknown.fails(404, "ERR_DIRECT_INVOKE");
    assert_eq!(unknown.header("content-type"), Some("application/json"));
    assert_eq!(unknown.header("x-wasmgate-error"), None);
}
