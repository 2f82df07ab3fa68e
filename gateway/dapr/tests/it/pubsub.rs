//! Publish and subscribe scenarios.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use serde_json::{Value, json};
use wasmgate_dapr::{Grants, ParkedFilter};

use crate::harness::{Apps, UNAVAILABLE, World, answer, app_id, eventually, start};

/// `kitchen` and `bar` subscribe to `orders`.
fn apps() -> Apps {
    let apps = Apps::default();
    for app in ["kitchen", "bar"] {
        apps.subscribe(
            app,
            json!([{"pubsubname": "pubsub", "topic": "orders", "route": "/orders"}]),
            |_| answer(200, ""),
        );
    }
    apps
}

async fn publish(world: &World, topic: &str, body: impl ToString) -> u16 {
    world
        .call(
            "POST",
            &format!("/v1.0/publish/pubsub/{topic}"),
            body.to_string(),
        )
        .await
        .status
}

mod everywhere {
    use super::*;

    fn apps() -> Apps {
        Apps::default()
    }

    crate::scenarios!(
        an_unknown_pubsub_is_404,
        an_empty_topic_is_404,
        bulk_publish_is_204
    );

    async fn an_unknown_pubsub_is_404(world: &World) {
        world
            .call("POST", "/v1.0/publish/nosuch/t", "{}")
            .await
            .fails(404, "ERR_PUBSUB_NOT_FOUND");
    }

    async fn an_empty_topic_is_404(world: &World) {
        let answer = world.call("POST", "/v1.0/publish/pubsub/", "{}").await;
        answer.fails(404, "ERR_DIRECT_INVOKE");
    }

    async fn bulk_publish_is_204(world: &World) {
        let body = json!([{"entryId": "1", "event": "a", "contentType": "text/plain"},
                          {"entryId": "2", "event": {"b": 1}, "contentType": "application/json"}]);
        let answer = world
            .call("POST", "/v1.0/publish/bulk/pubsub/t", body.to_string())
            .await;
        assert_eq!(answer.status, 204);
    }
}

mod delivered {
    use super::*;

    #[tokio::test]
    async fn a_trace_of_zeros_is_none_and_another_takes_its_place() {
        let world = World::in_process(apps()).await;
        let trace = "00000000000000000000000000000000";
        let zeros = format!("00-{trace}-b7ad6b7169203331-01");
        let headers = [
            ("content-type", "application/json"),
            ("traceparent", &*zeros),
            ("tracestate", "a=b"),
        ];
        let published = world.call_with("POST", "/v1.0/publish/pubsub/orders", &headers, "1");
        assert_eq!(published.await.status, 204);
        let event = world.apps.wait("kitchen", "/orders", 1).await.remove(0);
        let passed_on = event.headers["traceparent"].to_str().unwrap().to_owned();
        assert!(
            passed_on.len() == zeros.len() && !passed_on.contains(trace),
            "{passed_on}"
        );
        assert_eq!(event.json()["traceparent"], passed_on);
        assert_ne!(event.json()["tracestate"], "a=b");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn every_subscribing_app_gets_the_event_in_an_envelope() {
        let world = World::in_process(apps()).await;
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let headers = [("content-type", "application/json"), ("traceparent", trace)];
        let path = "/v1.0/publish/pubsub/orders?metadata.cloudevent.type=placed";
        assert_eq!(
            world
                .call_with("POST", path, &headers, r#"{"id":1}"#)
                .await
                .status,
            204
        );
        for app in ["kitchen", "bar"] {
            let event = world.apps.wait(app, "/orders", 1).await.remove(0);
            assert_eq!(
                event.headers["content-type"],
                "application/cloudevents+json"
            );
            assert_eq!(event.headers["traceparent"], trace);
            let event = event.json();
            assert_eq!(event["data"], json!({"id": 1}));
            assert_eq!(
                (&event["source"], &event["type"]),
                (&json!("shop"), &json!("placed"))
            );
            assert_eq!(
                (&event["topic"], &event["pubsubname"]),
                (&json!("orders"), &json!("pubsub"))
            );
            assert_eq!(event["traceparent"], trace);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn over_tcp_too() {
        let world = World::with(crate::harness::Kind::Tcp, apps(), |_| {}).await;
        assert_eq!(publish(&world, "orders", r#"{"id":2}"#).await, 204);
        assert_eq!(
            world.apps.wait("bar", "/orders", 1).await[0].json()["data"]["id"],
            2
        );
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_failed_delivery_is_repeated_and_others_are_not_held_up() {
        let apps = Apps::default();
        let second_came = AtomicBool::new(false);
        let list = json!([{"pubsubname": "pubsub", "topic": "t", "route": "t"}]);
        apps.subscribe("app", list, move |received| {
            match received.json()["data"].as_i64() {
                // Fails until the other has come past it.
                Some(1) if !second_came.load(Ordering::SeqCst) => answer(500, ""),
                Some(1) => answer(200, ""),
                _ => {
                    second_came.store(true, Ordering::SeqCst);
                    answer(200, "")
                }
            }
        });
        let world = World::in_process(apps).await;
        publish(&world, "t", "1").await;
        world.apps.wait("app", "/t", 1).await;
        publish(&world, "t", "2").await;
        eventually("both are taken", || async {
            world.dapr().queues().await.is_empty()
        })
        .await;
        let all = world.apps.wait("app", "/t", 3).await;
        assert_eq!(all.last().unwrap().json()["data"], 1);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_dropped_goes_to_the_dead_letter_topic() {
        let apps = Apps::default();
        let list = json!([
            {"pubsubname": "pubsub", "topic": "t", "route": "/t", "deadLetterTopic": "dead"},
            {"pubsubname": "pubsub", "topic": "dead", "route": "/dead"},
        ]);
        apps.subscribe("app", list, |received| match received.path.as_str() {
            "/t" => answer(200, r#"{"status":"DROP"}"#),
            _ => answer(200, ""),
        });
        let world = World::in_process(apps).await;
        publish(&world, "t", "7").await;
        assert_eq!(
            world.apps.wait("app", "/dead", 1).await[0].json()["data"],
            7
        );
        assert_eq!(world.apps.count("app", "/t"), 1);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_dead_letter_without_a_reader_is_kept_until_there_is_one() {
        let apps = Apps::default();
        let list = json!([{"pubsubname": "pubsub", "topic": "t", "route": "/t", "deadLetterTopic": "dead"}]);
        apps.subscribe("app", list, |_| answer(404, ""));
        let world = World::in_process(apps).await;
        publish(&world, "t", "7").await;
        eventually("the dead letter is kept", || async {
            world
                .dapr()
                .queues()
                .await
                .iter()
                .any(|queue| queue.topic == "dead" && queue.waiting == 1)
        })
        .await;
        let list = json!([{"pubsubname": "pubsub", "topic": "dead", "route": "/dead"}]);
        world.apps.subscribe("reader", list, |_| answer(200, ""));
        world.dapr().refresh(app_id("reader"), Grants::all()).await;
        assert_eq!(
            world.apps.wait("reader", "/dead", 1).await[0].json()["data"],
            7
        );
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn retries_end_as_the_policy_says_and_nothing_is_lost() {
        let apps = Apps::default();
        let list = json!([{"pubsubname": "pubsub", "topic": "t", "route": "/t"}]);
        let mended = Arc::new(AtomicBool::new(false));
        let flag = mended.clone();
        apps.subscribe("app", list, move |_| match flag.load(Ordering::SeqCst) {
            false => answer(503, ""),
            true => answer(200, ""),
        });
        let world = World::with_components(
            apps,
            &[(
                "all.yaml",
                "
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: pubsub}
spec: {type: pubsub.in-memory, version: v1}
---
apiVersion: dapr.io/v1alpha1
kind: Resiliency
metadata: {name: r}
spec:
  policies:
    retries: {fast: {policy: constant, duration: 1ms, maxRetries: 2}}
  targets:
    components: {pubsub: {inbound: {retry: fast}}}
",
            )],
        )
        .await;
        publish(&world, "t", "7").await;
        eventually("the event is parked", || async {
            world
                .dapr()
                .queues()
                .await
                .iter()
                .any(|queue| queue.parked == 1)
        })
        .await;
        assert_eq!(world.apps.count("app", "/t"), 3);
        mended.store(true, Ordering::SeqCst);
        let released = world.dapr().release_parked(ParkedFilter::default()).await;
        assert_eq!(released.unwrap(), 1);
        eventually("it is taken", || async {
            world.dapr().queues().await.is_empty()
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn rules_choose_the_route() {
        let apps = Apps::default();
        let list = json!([{"pubsubname": "pubsub", "topic": "t", "routes": {
            "rules": [{"match": "event.data.size > 10", "path": "/large"}], "default": "/small"}}]);
        apps.subscribe("app", list, |_| answer(200, ""));
        let world = World::in_process(apps).await;
        publish(&world, "t", r#"{"size":11}"#).await;
        publish(&world, "t", r#"{"size":9}"#).await;
        assert_eq!(
            world.apps.wait("app", "/large", 1).await[0].json()["data"]["size"],
            11
        );
        assert_eq!(
            world.apps.wait("app", "/small", 1).await[0].json()["data"]["size"],
            9
        );
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn bulk_subscribers_get_many_at_once_and_answer_for_each() {
        let apps = Apps::default();
        let list = json!([{"pubsubname": "pubsub", "topic": "t", "route": "/t",
                           "bulkSubscribe": {"enabled": true, "maxMessagesCount": 10}}]);
        let first = Arc::new(AtomicUsize::new(0));
        apps.subscribe("app", list, move |received| {
            let again = first.fetch_add(1, Ordering::SeqCst) == 0;
            let entries = received.json()["entries"].as_array().unwrap().clone();
            let statuses = entries.iter().enumerate().map(|(at, entry)| {
                let status = if again && at == 0 { "RETRY" } else { "SUCCESS" };
                json!({"entryId": entry["entryId"], "status": status})
            });
            answer(200, json!({"statuses": statuses.collect::<Vec<_>>()}))
        });
        let world = World::in_process(apps).await;
        let events: Vec<_> = (0..5)
            .map(|n| json!({"entryId": n.to_string(), "event": n, "contentType": "application/json"}))
            .collect();
        let path = "/v1.0/publish/bulk/pubsub/t";
        assert_eq!(
            world
                .call("POST", path, json!(events).to_string())
                .await
                .status,
            204
        );
        let calls = world.apps.wait("app", "/t", 2).await;
        assert_eq!(calls[0].json()["entries"].as_array().unwrap().len(), 5);
        assert_eq!(calls[1].json()["entries"].as_array().unwrap().len(), 1);
        assert_eq!(calls[1].json()["entries"][0]["event"]["data"], 0);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn raw_payloads_come_as_bytes_to_those_who_ask_for_them() {
        let apps = Apps::default();
        let list = json!([{"pubsubname": "pubsub", "topic": "t", "route": "/t", "metadata": {"rawPayload": "true"}}]);
        apps.subscribe("app", list, |_| answer(200, ""));
        let world = World::in_process(apps).await;
        let path = "/v1.0/publish/pubsub/t?metadata.rawPayload=true";
        assert_eq!(world.call("POST", path, "hi").await.status, 204);
        assert_eq!(
            world.apps.wait("app", "/t", 1).await[0].json()["data_base64"],
            "aGk="
        );
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_unreachable_app_uses_up_no_retries_and_gets_its_events_after_a_restart() {
        let apps = Apps::default();
        let list = json!([{"pubsubname": "pubsub", "topic": "t", "route": "/t"}]);
        apps.subscribe("app", list.clone(), |_| answer(UNAVAILABLE.as_u16(), ""));
        let world = World::in_process(apps).await;
        publish(&world, "t", "7").await;
        world.apps.wait("app", "/t", 2).await;
        world.dapr().stop().await;
        let World {
            dapr, folder, apps, ..
        } = world;
        drop(dapr);
        apps.subscribe("app", list, |_| answer(200, ""));
        let data = folder.path().join("data");
        let dapr = start(
            wasmgate_dapr::Settings {
                data,
                ..Default::default()
            },
            &apps,
        )
        .await;
        eventually("the event is taken", || async {
            dapr.queues().await.is_empty()
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_event_past_its_time_to_live_is_not_delivered() {
        let apps = Apps::default();
        let list = json!([{"pubsubname": "pubsub", "topic": "t", "route": "/t"}]);
        apps.subscribe("app", list, |received| {
            match received.json()["data"].as_i64() {
                Some(1) => answer(500, ""),
                _ => answer(200, ""),
            }
        });
        let world = World::in_process(apps).await;
        world
            .call(
                "POST",
                "/v1.0/publish/pubsub/t?metadata.ttlInSeconds=3",
                "1",
            )
            .await;
        let event = world.apps.wait("app", "/t", 1).await[0].json();
        assert!(event["expiration"].is_string(), "{event}");
        eventually("the event expires", || async {
            world.dapr().queues().await.is_empty()
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn declared_subscriptions_reach_only_their_scopes() {
        let apps = Apps::default();
        for app in ["a", "b"] {
            apps.set(app, |received| match received.path.as_str() {
                "/dapr/subscribe" => answer(404, ""),
                _ => answer(200, ""),
            });
        }
        let world = World::with_components(
            apps,
            &[(
                "all.yaml",
                "
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: pubsub}
spec: {type: pubsub.in-memory, version: v1}
---
apiVersion: dapr.io/v2alpha1
kind: Subscription
metadata: {name: s}
spec: {pubsubname: pubsub, topic: t, routes: {default: /declared}}
scopes: [a]
---
apiVersion: dapr.io/v1alpha1
kind: Subscription
metadata: {name: s2}
spec: {pubsubname: pubsub, topic: u, route: /older}
scopes: [b]
",
            )],
        )
        .await;
        publish(&world, "t", "1").await;
        publish(&world, "u", "1").await;
        world.apps.wait("a", "/declared", 1).await;
        world.apps.wait("b", "/older", 1).await;
        assert_eq!(
            (
                world.apps.count("b", "/declared"),
                world.apps.count("a", "/older")
            ),
            (0, 0)
        );
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_outbox_publishes_with_the_transaction_or_not_at_all() {
        let apps = Apps::default();
        let list = json!([{"pubsubname": "pubsub", "topic": "changes", "route": "/changes"}]);
        apps.subscribe("app", list, |_| answer(200, ""));
        let world = World::with_components(
            apps,
            &[(
                "all.yaml",
                "
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
  - {name: outboxPublishTopic, value: changes}
",
            )],
        )
        .await;
        let transact = |operations: Value| {
            let world = &world;
            let body = json!({"operations": operations}).to_string();
            async move {
                world
                    .call("POST", "/v1.0/state/statestore/transaction", body)
                    .await
                    .status
            }
        };
        let failing = json!([{"operation": "upsert", "request": {"key": "k", "value": 1, "etag": "999"}}]);
        assert_eq!(transact(failing).await, 500);
        let good = json!([{"operation": "upsert", "request": {"key": "k", "value": {"n": 2}}}]);
        assert_eq!(transact(good).await, 204);
        let sent = world.apps.wait("app", "/changes", 1).await;
        assert_eq!((sent.len(), &sent[0].json()["data"]), (1, &json!({"n": 2})));
    }
}
