//! How much one call may bring and one answer may hold.

use serde_json::{Value, json};

use super::{STATE, events::takes_later, save, used};
use crate::harness::{Apps, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_save_is_read_item_by_item_and_a_mistake_in_the_last_one_saves_none() {
    let world = World::in_process(Apps::default()).await;
    let items = |last: &str| {
        let items = (0..5000).map(|n| format!("{{\"key\":\"{n}\",\"value\":{n}}},"));
        format!(" [{}{last}] ", items.collect::<String>())
    };
    let wrong = items(r#"{"key":"","value":1}"#);
    world
        .call("POST", STATE, wrong)
        .await
        .fails(400, "ERR_MALFORMED_REQUEST");
    assert_eq!(world.dapr().usage().await, []);
    let right = items(r#"{"KEY":"last","value":1}"#);
    assert_eq!(world.call("POST", STATE, right).await.status, 204);
    assert_eq!(used(world.dapr(), "shop", "state_items").await, 5001);
    let found = world.call("GET", "/v1.0/state/statestore/last", "").await;
    assert_eq!(found.json(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_is_longer_than_what_may_be_put_together_in_memory() {
    let world = World::in_process(Apps::default()).await;
    for n in 0..12 {
        let saved = world
            .call("POST", STATE, save(&n.to_string(), 3 << 20))
            .await;
        assert_eq!(saved.status, 204);
    }
    // The same key a thousand times over is as long as a thousand keys.
    let keys = json!({"keys": vec!["1"; 1000]}).to_string();
    let path = format!("{STATE}/bulk");
    world
        .call("POST", &path, keys)
        .await
        .fails(413, "ERR_STATE_BULK_GET");
    let query = "/v1.0-alpha1/state/statestore/query";
    let first = world.call("POST", query, "{}").await.json();
    let token = first["token"].as_str().unwrap().to_owned();
    let next = json!({"page": {"token": token}}).to_string();
    let second = world.call("POST", query, next).await.json();
    let count = |page: &Value| page["results"].as_array().unwrap().len();
    assert_eq!((count(&first), count(&first) + count(&second)), (10, 12));
    assert_eq!(second["token"], Value::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bulk_whose_events_grow_beyond_their_bytes_is_refused_whole() {
    let apps = Apps::default();
    takes_later(&apps, "kitchen", "orders");
    let world = World::in_process(apps).await;
    let entries: Value = (0..9000)
        .map(|n| json!({"entryId": n.to_string(), "event": 1, "contentType": "application/json"}))
        .collect();
    // The call's metadata is each event's.
    let path = format!(
        "/v1.0/publish/bulk/pubsub/orders?metadata.m={}",
        "x".repeat(4000)
    );
    let refused = world.call("POST", &path, entries.to_string()).await;
    refused.fails(413, "ERR_BODY_TOO_LARGE");
    let small = "/v1.0/publish/bulk/pubsub/orders";
    assert_eq!(
        world.call("POST", small, entries.to_string()).await.status,
        204
    );
    assert_eq!(used(world.dapr(), "kitchen", "queue_events").await, 9000);
}
