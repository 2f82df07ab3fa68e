//! Rules that do harm: refused, parked, and never the end of a start.

use serde_json::{Value, json};
use wasmgate_dapr::{Grants, Settings};

use crate::harness::{Apps, UNAVAILABLE, World, answer, app_id, eventually, start};

/// Eight comprehensions over one list: 80^8 turns.
const NESTED: &str = "event.data.all(a, event.data.all(b, event.data.all(c, event.data.all(d, \
    event.data.all(e, event.data.all(f, event.data.all(g, event.data.all(h, true))))))))";

/// Twice over a list is what may be written, and with a list of thousands it is still too much.
const SQUARE: &str = "event.data.all(a, event.data.exists(b, b == a))";

fn subscriber(apps: &Apps, app: &str, rule: &str) {
    let list = json!([{"pubsubname": "pubsub", "topic": "t", "routes": {
        "rules": [{"match": rule, "path": "/ruled"}], "default": "/other"}}]);
    apps.set(app, move |received| match received.path.as_str() {
        "/dapr/subscribe" => answer(200, &list),
        _ => answer(200, ""),
    });
}

async fn publish(world: &World, event: &Value) {
    let published = world.call("POST", "/v1.0/publish/pubsub/t", event.to_string());
    assert_eq!(published.await.status, 204);
}

#[tokio::test]
async fn metadata_shows_a_rule_with_its_condition() {
    let apps = Apps::default();
    subscriber(&apps, "shop", "event.type == 'a'");
    let world = World::in_process(apps).await;
    let metadata = world.call("GET", "/v1.0/metadata", "").await.json();
    let rules = json!([{"match": "event.type == 'a'", "path": "/ruled"}, {"path": "/other"}]);
    assert_eq!(metadata["subscriptions"][0]["rules"], rules);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_sum_is_evaluated_and_nested_comprehensions_are_refused() {
    let apps = Apps::default();
    let sum = format!("{} == 1400", vec!["1"; 1400].join("+"));
    subscriber(&apps, "sum", &sum);
    subscriber(&apps, "nested", NESTED);
    let world = World::in_process(apps).await;
    publish(&world, &json!((0..80).collect::<Vec<_>>())).await;
    world.apps.wait("sum", "/ruled", 1).await;
    let queues = world.dapr().queues().await;
    assert!(
        queues.iter().all(|queue| queue.app_id != "nested"),
        "{queues:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_over_which_a_rule_takes_too_long_is_parked_and_others_pass() {
    let apps = Apps::default();
    subscriber(&apps, "app", SQUARE);
    subscriber(&apps, "neighbour", "event.data == 1");
    let world = World::in_process(apps).await;
    publish(&world, &json!((0..5000).collect::<Vec<_>>())).await;
    publish(&world, &json!([1, 2])).await;
    publish(&world, &json!(1)).await;
    world.apps.wait("app", "/ruled", 1).await;
    world.apps.wait("neighbour", "/ruled", 1).await;
    eventually("the event is parked", || async {
        let queues = world.dapr().queues().await;
        matches!(queues.as_slice(), [one] if one.app_id == "app" && one.parked == 1 && one.waiting == 0)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_rules_on_disk_do_not_stop_a_start_and_their_events_are_kept() {
    let apps = Apps::default();
    let list = json!([{"pubsubname": "pubsub", "topic": "t", "route": "/other"}]);
    apps.set("app", move |received| match received.path.as_str() {
        "/dapr/subscribe" => answer(200, &list),
        _ => answer(UNAVAILABLE.as_u16(), ""),
    });
    let world = World::in_process(apps).await;
    publish(&world, &json!(7)).await;
    world.apps.wait("app", "/other", 1).await;
    world.dapr().stop().await;
    let World {
        dapr, folder, apps, ..
    } = world;
    drop(dapr);

    let data = folder.path().join("data");
    let database = rusqlite::Connection::open(data.join("dapr.db")).unwrap();
    for (topic, rule) in [
        ("t", NESTED),
        ("deep", &"(".repeat(4000)),
        ("no-rule", "1 +"),
    ] {
        let spec = json!({"pubsubname": "pubsub", "topic": topic,
                          "routes": {"rules": [{"match": rule, "path": "/x"}]}});
        let insert = "INSERT OR REPLACE INTO subscription VALUES ('app', 'pubsub', ?1, ?2)";
        assert_eq!(
            database
                .execute(insert, [topic, &spec.to_string()])
                .unwrap(),
            1
        );
    }
    drop(database);

    // It says the same again: left out, but the event stays.
    subscriber(&apps, "app", NESTED);
    let dapr = start(
        Settings {
            data,
            ..Settings::default()
        },
        &apps,
    )
    .await;
    let queues = dapr.queues().await;
    assert!(
        matches!(queues.as_slice(), [one] if one.waiting == 1),
        "{queues:?}"
    );
    // Once its rule is mended it gets it.
    subscriber(&apps, "app", "event.data == 7");
    dapr.refresh(app_id("app"), Grants::all()).await;
    assert_eq!(apps.wait("app", "/ruled", 1).await[0].json()["data"], 7);
    dapr.stop().await;
}
