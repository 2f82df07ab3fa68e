//! Events as Dapr brings them: headers, types, bulks, the outbox.

use http::Method;
use serde_json::{Value, json};

use crate::harness::{Apps, World, answer, eventually};

/// An app that subscribes as `list` says and takes everything.
fn app(list: Value) -> Apps {
    let apps = Apps::default();
    apps.set("app", move |received| {
        match (&received.method, received.path.as_str()) {
            (&Method::GET, "/dapr/subscribe") => answer(200, &list),
            _ => match received.json().get("entries") {
                Some(Value::Array(entries)) => {
                    let statuses: Vec<_> = entries
                        .iter()
                        .map(|entry| json!({"entryId": entry["entryId"], "status": "SUCCESS"}))
                        .collect();
                    answer(200, json!({"statuses": statuses}))
                }
                _ => answer(200, ""),
            },
        }
    });
    apps
}

fn subscribed() -> Apps {
    app(json!([{"pubsubname": "pubsub", "topic": "t", "route": "/t"}]))
}

async fn publish(world: &World, query: &str, content_type: &str, body: &str) -> u16 {
    let headers = [("content-type", content_type)];
    let path = format!("/v1.0/publish/pubsub/t{query}");
    world
        .call_with("POST", &path, &headers, body.to_owned())
        .await
        .status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publish_metadata_and_the_pubsub_come_as_headers() {
    let world = World::in_process(subscribed()).await;
    let query = "?metadata.foo=bar&metadata.ttlInSeconds=60&metadata.cloudevent.type=x&metadata.dapr-api-token=stolen\
                 &metadata.Content-Length=1&metadata.Host=evil&metadata.traceparent=00-forged&metadata.two%20words=x\
                 &metadata.foo=second&metadata.line=a%0Ab";
    assert_eq!(publish(&world, query, "application/json", "1").await, 204);
    let received = world.apps.wait("app", "/t", 1).await.remove(0);
    let header = |name: &str| {
        received
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    assert_eq!(header("content-type"), Some("application/cloudevents+json"));
    assert_eq!(
        (header("pubsubname"), header("foo")),
        (Some("pubsub"), Some("bar"))
    );
    assert_eq!(
        (header("ttlinseconds"), header("cloudevent.type")),
        (Some("60"), Some("x"))
    );
    assert_eq!(
        (header("dapr-api-token"), header("host"), header("line")),
        (None, None, None)
    );
    assert_eq!(received.headers.get_all("traceparent").iter().count(), 1);
    assert_eq!(
        header("traceparent"),
        received.json()["traceparent"].as_str()
    );
    let long = format!("?metadata.x={}", "y".repeat(9000));
    assert_eq!(publish(&world, &long, "application/json", "1").await, 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_events_numbers_keep_their_digits_through_queue_bulk_and_rules() {
    let world = World::in_process(app(json!([
        {"pubsubname": "pubsub", "topic": "t", "routes": {
            "rules": [{"match": "event.data.n > 1", "path": "/t"}], "default": "/never"}},
        {"pubsubname": "pubsub", "topic": "bulk", "route": "/bulk",
         "bulkSubscribe": {"enabled": true, "maxAwaitDurationMs": 1}},
    ])))
    .await;
    let data = r#"{"n":12345678901234567890123,"x":1.00}"#;
    assert_eq!(publish(&world, "", "application/json", data).await, 204);
    let body = |received: crate::harness::Received| String::from_utf8(received.body.to_vec()).unwrap();
    let single = body(world.apps.wait("app", "/t", 1).await.remove(0));
    assert!(single.contains(data), "{single}");
    let entries = format!(r#"[{{"entryId":"1","contentType":"application/json","event":{data}}}]"#);
    assert_eq!(
        world
            .call("PUT", "/v1.0-alpha1/publish/bulk/pubsub/bulk", entries)
            .await
            .status,
        204
    );
    let bulk = body(world.apps.wait("app", "/bulk", 1).await.remove(0));
    assert!(bulk.contains(data), "{bulk}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn raw_objects_pass_as_they_are_and_other_raw_payloads_in_an_envelope() {
    let world = World::in_process(subscribed()).await;
    assert_eq!(
        publish(
            &world,
            "?metadata.rawPayload=True",
            "application/json",
            r#"{"n": 1}"#
        )
        .await,
        204
    );
    assert_eq!(world.apps.wait("app", "/t", 1).await[0].body, r#"{"n": 1}"#);
    assert_eq!(
        publish(&world, "?metadata.rawPayload=true", "text/plain", "hi").await,
        204
    );
    let wrapped = world.apps.wait("app", "/t", 2).await.remove(1).json();
    assert_eq!(
        (&wrapped["data_base64"], &wrapped["datacontenttype"]),
        (&json!("aGk="), &json!("application/octet-stream"))
    );
    for (query, code) in [
        ("?metadata.rawPayload=maybe", "ERR_PUBSUB_REQUEST_METADATA"),
        ("?metadata.ttlInSeconds=soon", "ERR_PUBSUB_REQUEST_METADATA"),
    ] {
        world
            .call("POST", &format!("/v1.0/publish/pubsub/t{query}"), "1")
            .await
            .fails(400, code);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bulk_is_json_with_the_metadata_of_its_entries() {
    let list = json!([
        {"pubsubname": "pubsub", "topic": "t", "route": "/t",
         "bulkSubscribe": {"enabled": true, "maxMessagesCount": 2, "maxAwaitDurationMs": 60000}},
        {"pubsubname": "pubsub", "topic": "raw", "route": "/raw", "metadata": {"rawPayload": "true"},
         "bulkSubscribe": {"enabled": true, "maxMessagesCount": 1}},
    ]);
    let world = World::in_process(app(list)).await;
    let entries = json!([
        {"entryId": "1", "event": {"a": 1}, "contentType": "application/json", "metadata": {"k": "v"}},
        {"entryID": "2", "event": "aGk=", "contentType": "application/octet-stream"},
    ]);
    assert_eq!(
        world
            .call(
                "POST",
                "/v1.0/publish/bulk/pubsub/t?metadata.all=1",
                entries.to_string()
            )
            .await
            .status,
        204
    );
    // Both at once, long before the wait is over.
    let received = world.apps.wait("app", "/t", 1).await.remove(0);
    assert_eq!(
        (
            &received.headers["content-type"],
            &received.headers["pubsubname"]
        ),
        (
            &"application/json".parse().unwrap(),
            &"pubsub".parse().unwrap()
        )
    );
    let body = received.json();
    assert_eq!(
        (&body["metadata"], &body["type"]),
        (
            &json!({"pubsubName": "pubsub"}),
            &json!("com.dapr.event.sent.bulk")
        )
    );
    assert_eq!(
        body["entries"][0]["metadata"],
        json!({"all": "1", "k": "v"})
    );
    assert_eq!(
        body["entries"][0]["contentType"],
        "application/cloudevents+json"
    );
    assert_eq!(body["entries"][1]["event"]["data_base64"], "aGk=");
    assert_eq!(
        world
            .call(
                "POST",
                "/v1.0/publish/pubsub/raw?metadata.rawPayload=true",
                "hi"
            )
            .await
            .status,
        204
    );
    let raw = world.apps.wait("app", "/raw", 1).await.remove(0).json();
    assert_eq!(
        (
            &raw["entries"][0]["event"],
            &raw["entries"][0]["contentType"]
        ),
        (&json!("aGk="), &json!("application/octet-stream"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bulk_waits_for_company_only_as_long_as_it_says_and_may_hold_a_thousand() {
    let bulk = |topic: &str, most: usize, wait: u64| {
        json!({"pubsubname": "pubsub", "topic": topic, "route": topic,
               "bulkSubscribe": {"enabled": true, "maxMessagesCount": most, "maxAwaitDurationMs": wait}})
    };
    let world = World::in_process(app(json!([
        bulk("few", 100, 50),
        bulk("many", 1000, 60_000)
    ])))
    .await;
    assert_eq!(
        world
            .call("POST", "/v1.0/publish/pubsub/few", "1")
            .await
            .status,
        204
    );
    assert_eq!(
        world.apps.wait("app", "/few", 1).await[0].json()["entries"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let entries: Vec<_> = (0..1000)
        .map(|n| json!({"entryId": n.to_string(), "event": n, "contentType": "application/json"}))
        .collect();
    assert_eq!(
        world
            .call(
                "POST",
                "/v1.0/publish/bulk/pubsub/many",
                json!(entries).to_string()
            )
            .await
            .status,
        204
    );
    assert_eq!(
        world.apps.wait("app", "/many", 1).await[0].json()["entries"]
            .as_array()
            .unwrap()
            .len(),
        1000
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bulks_events_come_again_unless_its_answer_takes_them() {
    let apps = Apps::default();
    let list = json!([{"pubsubname": "pubsub", "topic": "t", "route": "/t",
                       "bulkSubscribe": {"enabled": true, "maxMessagesCount": 1}}]);
    let turn = std::sync::atomic::AtomicUsize::new(0);
    apps.set("app", move |received| match received.path.as_str() {
        "/dapr/subscribe" => answer(200, &list),
        _ => {
            let id = received.json()["entries"][0]["entryId"].clone();
            match turn.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
                0 => answer(200, ""),
                1 => answer(200, json!({"statuses": [{"entryId": id}]})),
                _ => answer(
                    200,
                    json!({"statuses": [{"entryId": id, "status": "SUCCESS"}]}),
                ),
            }
        }
    });
    let world = World::in_process(apps).await;
    assert_eq!(
        world
            .call("POST", "/v1.0/publish/pubsub/t", "1")
            .await
            .status,
        204
    );
    eventually("it is taken", || async {
        world.dapr().queues().await.is_empty()
    })
    .await;
    assert_eq!(world.apps.count("app", "/t"), 3);
}

#[tokio::test]
async fn bulks_that_dapr_refuses_are_refused_whole_under_its_codes() {
    let world = World::in_process(subscribed()).await;
    let path = "/v1.0/publish/bulk/pubsub/t";
    for (body, code) in [
        ("[", "ERR_PUBSUB_EVENTS_SER"),
        (
            r#"[{"event":1,"contentType":"application/json"}]"#,
            "ERR_PUBSUB_EVENTS_SER",
        ),
        (r#"[{"entryId":"1","event":1}]"#, "ERR_PUBSUB_EVENTS_SER"),
        (
            r#"[{"entryId":"1","event":1,"contentType":"text/plain"}]"#,
            "ERR_PUBSUB_EVENTS_SER",
        ),
        (
            r#"[{"entryId":"1","event":"?","contentType":"application/octet-stream"}]"#,
            "ERR_PUBSUB_EVENTS_SER",
        ),
        (
            r#"[{"entryId":"1","event":1,"contentType":"application/vnd.x+json"}]"#,
            "ERR_PUBSUB_EVENTS_SER",
        ),
        (
            r#"[{"entryId":"1","event":1,"contentType":"application/json"},{"entryId":"2","event":[1],"contentType":"application/cloudevents+json"}]"#,
            "ERR_PUBSUB_CLOUD_EVENTS_SER",
        ),
    ] {
        world
            .call("POST", path, body.to_owned())
            .await
            .fails(400, code);
    }
    world
        .call("POST", "/v1.0/publish/bulk/pubsub/", "[]")
        .await
        .fails(404, "ERR_PUBSUB_NOT_FOUND");
    world
        .call("POST", "/v1.0/publish/pubsub", "1")
        .await
        .fails(404, "ERR_DIRECT_INVOKE");
    assert_eq!(world.apps.count("app", "/t"), 0);
}

const OUTBOX: &str = "
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: pubsub}
spec: {type: pubsub.in-memory, version: v1}
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: statestore}
spec:
  type: state.sqlite
  version: v1
  metadata:
  - {name: outboxPublishPubsub, value: pubsub}
  - {name: outboxPublishTopic, value: t}
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outbox_publishes_what_is_saved_or_its_projection_and_no_delete() {
    let world = World::with_components(subscribed(), &[("all.yaml", OUTBOX)]).await;
    let operations = json!({"operations": [
        {"operation": "delete", "request": {"key": "gone"}},
        {"operation": "upsert", "request": {"key": "k", "value": {"big": 1}, "metadata": {
            "type": "order.saved", "id": "no", "topic": "no", "ttlInSeconds": "100", "custom": "c"}}},
        {"operation": "upsert", "request": {"key": "k", "value": {"small": 1}, "metadata": {"outbox.projection": "true"}}},
        {"operation": "upsert", "request": {"key": "text", "value": "hi", "metadata": {"contentType": "text/plain"}}},
    ]});
    let transacted = world
        .call(
            "POST",
            "/v1.0/state/statestore/transaction",
            operations.to_string(),
        )
        .await;
    assert_eq!(transacted.status, 204);
    let events = world.apps.wait("app", "/t", 2).await;
    let events: Vec<Value> = events.iter().map(crate::harness::Received::json).collect();
    let of = |kind: &str| {
        events
            .iter()
            .find(|event| event["datacontenttype"] == kind)
            .unwrap()
    };
    let saved = of("application/json");
    assert_eq!(
        (&saved["data"], &saved["type"], &saved["custom"]),
        (&json!({"small": 1}), &json!("order.saved"), &json!("c"))
    );
    assert_eq!(
        (&saved["topic"], &saved["source"]),
        (&json!("t"), &json!("shop"))
    );
    assert_ne!(saved["id"], "no");
    for absent in ["ttlInSeconds", "operation", "outbox.projection"] {
        assert_eq!(saved.get(absent), None);
    }
    assert_eq!(of("text/plain")["data"], "hi");
    eventually("all are taken", || async {
        world.dapr().queues().await.is_empty()
    })
    .await;
    assert_eq!(world.apps.count("app", "/t"), 2);
    // What is stored is what was saved, not its projection.
    assert_eq!(
        world
            .call("GET", "/v1.0/state/statestore/k", "")
            .await
            .json(),
        json!({"big": 1})
    );
}
