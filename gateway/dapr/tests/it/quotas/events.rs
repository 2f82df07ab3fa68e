//! Events in queues, dead letters among them: who pays for them, and where those go for which there is no room.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde_json::{Value, json};
use wasmgate_dapr::Grants;

use super::{CODE, only, subscription, used, world};
use crate::{
    harness::{Answer, Apps, UNAVAILABLE, World, answer, eventually},
    parked::ONE_TRY,
};

/// `app` takes events of `topic` once `open` is set, and is not there before.
pub(super) fn takes_later(apps: &Apps, app: &str, topic: &str) -> Arc<AtomicBool> {
    let open = Arc::new(AtomicBool::new(false));
    let is_open = open.clone();
    apps.subscribe(app, subscription(topic, None), move |_| {
        match is_open.load(Ordering::SeqCst) {
            true => answer(200, ""),
            false => answer(UNAVAILABLE.as_u16(), ""),
        }
    });
    open
}

async fn publish(world: &World, topic: &str, bytes: usize) -> Answer {
    let body = json!("x".repeat(bytes)).to_string();
    world
        .call("POST", &format!("/v1.0/publish/pubsub/{topic}"), body)
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_refuses_the_publisher_and_loses_nothing_that_was_acknowledged() {
    let apps = Apps::default();
    let open = takes_later(&apps, "kitchen", "orders");
    let quotas = only(|quotas| quotas.queue.items = 3);
    let world = world(apps, quotas, &[]).await;
    for _ in 0..3 {
        assert_eq!(publish(&world, "orders", 1).await.status, 204);
    }
    let refused = publish(&world, "orders", 1).await;
    refused.fails(507, CODE);
    assert_eq!(refused.header("retry-after"), "1");
    let told = refused.json()["message"].to_string();
    assert!(
        !told.contains("kitchen"),
        "whose queue it is, is not the publisher's to know: {told}"
    );
    let bulk = json!([{"entryId": "1", "event": 1, "contentType": "application/json"}]);
    let bulk = world.call("POST", "/v1.0/publish/bulk/pubsub/orders", bulk.to_string());
    bulk.await.fails(507, CODE);
    // What nobody of them takes is published as ever.
    assert_eq!(publish(&world, "other", 1).await.status, 204);
    open.store(true, Ordering::SeqCst);
    world.apps.wait("kitchen", "/t", 3).await;
    eventually("there is room again", || async {
        publish(&world, "orders", 1).await.status == 204
    })
    .await;
    let refusals = world.dapr().usage().await;
    eventually("the account is empty", || async {
        used(world.dapr(), "kitchen", "queue").await == 0 && used(world.dapr(), "shop", "published").await == 0
    })
    .await;
    let refusal = refusals
        .iter()
        .find(|of| (of.app_id.as_str(), of.quota) == ("kitchen", "queue_events"));
    assert!(refusal.unwrap().refused >= 2, "{refusals:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_pays_for_each_subscriber_that_has_not_taken_its_event() {
    let apps = Apps::default();
    let opens: Vec<_> = ["kitchen", "bar"]
        .map(|app| takes_later(&apps, app, "orders"))
        .into();
    let quotas = only(|quotas| quotas.published.items = 3);
    let world = world(apps, quotas, &[]).await;
    assert_eq!(publish(&world, "orders", 1).await.status, 204);
    let refused = publish(&world, "orders", 1).await;
    refused.fails(507, CODE);
    assert!(
        refused.json()["message"]
            .to_string()
            .contains("published_events = 3")
    );
    // Another publisher is not concerned.
    let all = Grants::all();
    let other = world.call_as("post", &all, "POST", "/v1.0/publish/pubsub/orders", "1");
    assert_eq!(other.await.status, 204);
    for open in opens {
        open.store(true, Ordering::SeqCst);
    }
    eventually("there is room again", || async {
        publish(&world, "orders", 1).await.status == 204
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_outbox_counts_and_takes_its_transaction_with_it() {
    const OUTBOX: &str = "
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: statestore}
spec:
  type: state.sqlite
  version: v1
  metadata:
    - {name: outboxPublishPubsub, value: pubsub}
    - {name: outboxPublishTopic, value: orders}
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: pubsub}
spec: {type: pubsub.in-memory, version: v1}
";
    let apps = Apps::default();
    takes_later(&apps, "kitchen", "orders");
    let quotas = only(|quotas| quotas.queue.items = 1);
    let world = world(apps, quotas, &[("all.yaml", OUTBOX)]).await;
    let transact = |key: &str| {
        let operations = json!([{"operation": "upsert", "request": {"key": key, "value": 1}}]);
        let body = json!({"operations": operations}).to_string();
        let world = &world;
        async move {
            world
                .call("POST", "/v1.0/state/statestore/transaction", body)
                .await
        }
    };
    assert_eq!(transact("a").await.status, 204);
    transact("b").await.fails(507, CODE);
    assert_eq!(
        world
            .call("GET", "/v1.0/state/statestore/b", "")
            .await
            .status,
        204
    );
    assert_eq!(used(world.dapr(), "shop", "state_items").await, 1);
    assert_eq!(used(world.dapr(), "shop", "published_events").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parked_event_counts_for_its_subscriber_alone_until_an_operator_takes_it_away() {
    let apps = Apps::default();
    apps.subscribe("kitchen", subscription("orders", None), |_| answer(500, ""));
    let world = world(apps, only(|_| {}), &[("all.yaml", ONE_TRY)]).await;
    assert_eq!(publish(&world, "orders", 10).await.status, 204);
    let dapr = world.dapr();
    eventually("it is parked", || async {
        !dapr.parked(Default::default(), 1).await.unwrap().is_empty()
    })
    .await;
    assert_eq!(used(dapr, "kitchen", "queue_events").await, 1);
    assert_eq!(used(dapr, "shop", "published_events").await, 0);
    assert_eq!(dapr.drop_parked(Default::default()).await.unwrap(), 1);
    assert_eq!(dapr.usage().await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_full_queue_of_dead_letters_does_not_take_is_parked() {
    let apps = Apps::default();
    apps.subscribe("kitchen", subscription("orders", Some("dead")), |_| {
        answer(500, "")
    });
    let open = takes_later(&apps, "post", "dead");
    let quotas = only(|quotas| quotas.queue.items = 1);
    let world = world(apps, quotas, &[("all.yaml", ONE_TRY)]).await;
    let dapr = world.dapr();
    assert_eq!(publish(&world, "orders", 1).await.status, 204);
    eventually("it is a dead letter", || async {
        used(dapr, "post", "queue_events").await == 1
    })
    .await;
    assert_eq!(used(dapr, "kitchen", "queue_events").await, 0);
    assert_eq!(used(dapr, "kitchen", "published_events").await, 1);
    assert_eq!(publish(&world, "orders", 1).await.status, 204);
    let parked = async || dapr.parked(Default::default(), 9).await.unwrap();
    eventually("the second one is parked", || async {
        parked().await.len() == 1
    })
    .await;
    assert_eq!(parked().await[0].package, "kitchen");
    assert_eq!(used(dapr, "kitchen", "queue_events").await, 1);
    // Once there is room, it goes the same way.
    open.store(true, Ordering::SeqCst);
    world.apps.wait("post", "/t", 1).await;
    eventually("the first one is gone", || async {
        used(dapr, "post", "queue_events").await == 0
    })
    .await;
    assert_eq!(dapr.release_parked(Default::default()).await.unwrap(), 1);
    world.apps.wait("post", "/t", 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_without_a_reader_count_for_who_dropped_them() {
    let apps = Apps::default();
    apps.subscribe("kitchen", subscription("orders", Some("dead")), |_| {
        answer(500, "")
    });
    let quotas = only(|quotas| quotas.published.items = 1);
    let world = world(apps, quotas, &[("all.yaml", ONE_TRY)]).await;
    let dapr = world.dapr();
    for _ in 0..2 {
        eventually("it is published", || async {
            publish(&world, "orders", 1).await.status == 204
        })
        .await;
    }
    let stuck = async || dapr.parked(Default::default(), 9).await.unwrap();
    eventually("both are stuck", || async { stuck().await.len() == 2 }).await;
    let mut owners: Vec<_> = stuck()
        .await
        .into_iter()
        .map(|parked| parked.package)
        .collect();
    owners.sort();
    assert_eq!(owners, ["", "kitchen"], "the second one found no room");
    assert_eq!(used(dapr, "kitchen", "published_events").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_beyond_the_quota_are_left_out() {
    let apps = Apps::default();
    let topics: Value = (0..5)
        .map(|n| json!({"pubsubname": "pubsub", "topic": n.to_string(), "route": "/t"}))
        .collect();
    apps.subscribe("kitchen", topics, |_| answer(200, ""));
    let quotas = only(|quotas| quotas.subscriptions = 2);
    let world = world(apps, quotas, &[]).await;
    assert_eq!(world.dapr().all_queues().await.len(), 2);
}
