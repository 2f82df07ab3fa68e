//! Beside a real Dapr: what it delivers and fires, and what becomes of it when it is killed.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::json;

use crate::harness::{Apps, Kind, World, answer, eventually, unique};

/// A world beside a real Dapr whose apps are these, or none where there is no real Dapr.
async fn world(apps: Apps) -> Option<World> {
    match wasmgate_real_dapr::there() {
        true => Some(World::with(Kind::BesideDapr, apps, |_| {}).await),
        false => None,
    }
}

async fn publish(world: &World, topic: &str, body: &str) {
    let path = format!("/v1.0/publish/pubsub/{topic}");
    assert_eq!(world.call("POST", &path, body.to_owned()).await.status, 204);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_subscribing_app_gets_the_event_and_only_the_failing_one_again() {
    let apps = Apps::default();
    let list = json!([{"pubsubname": "pubsub", "topic": "t", "route": "/t"}]);
    apps.subscribe("steady", list.clone(), |_| answer(200, ""));
    let tries = AtomicUsize::new(0);
    apps.subscribe("shaky", list, move |_| {
        match tries.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => answer(500, ""),
            _ => answer(200, ""),
        }
    });
    let Some(world) = world(apps).await else {
        return;
    };
    publish(&world, "t", r#"{"id":1}"#).await;
    let got = world.apps.wait("shaky", "/t", 3).await;
    let event = got[2].json();
    assert_eq!(
        (&event["data"], &event["source"], &event["topic"]),
        (&json!({"id": 1}), &json!("shop"), &json!("t"))
    );
    assert_eq!(
        got[2].headers["content-type"],
        "application/cloudevents+json"
    );
    assert_eq!(world.apps.count("steady", "/t"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_dropped_or_fails_for_good_goes_to_the_apps_dead_letter_topic() {
    let apps = Apps::default();
    let list = json!([
        {"pubsubname": "pubsub", "topic": "t", "route": "/t", "deadLetterTopic": "dead"},
        {"pubsubname": "pubsub", "topic": "dead", "route": "/dead"},
    ]);
    apps.subscribe("app", list, |received| {
        match (received.path.as_str(), &received.json()["data"]) {
            ("/t", data) if data == 7 => answer(200, r#"{"status":"DROP"}"#),
            ("/t", _) => answer(500, ""),
            _ => answer(200, ""),
        }
    });
    let Some(world) = world(apps).await else {
        return;
    };
    publish(&world, "t", "7").await;
    let dropped = world.apps.wait("app", "/dead", 1).await;
    assert_eq!(dropped[0].json()["data"], 7);
    assert_eq!(world.apps.count("app", "/t"), 1);
    publish(&world, "t", "8").await;
    let failed = world.apps.wait("app", "/dead", 2).await;
    assert_eq!(failed[1].json()["data"], 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_choose_the_route() {
    let apps = Apps::default();
    let list = json!([{"pubsubname": "pubsub", "topic": "t", "routes": {
        "rules": [{"match": "event.data.size > 10", "path": "/large"}], "default": "/small"}}]);
    apps.subscribe("app", list, |_| answer(200, ""));
    let Some(world) = world(apps).await else {
        return;
    };
    publish(&world, "t", r#"{"size":11}"#).await;
    publish(&world, "t", r#"{"size":9}"#).await;
    let large = world.apps.wait("app", "/large", 1).await;
    assert_eq!(large[0].json()["data"]["size"], 11);
    let small = world.apps.wait("app", "/small", 1).await;
    assert_eq!(small[0].json()["data"]["size"], 9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_published_survives_the_sudden_end_of_the_sidecar_and_of_redis() {
    let apps = Apps::default();
    let list = json!([{"pubsubname": "pubsub", "topic": "t", "route": "/t"}]);
    apps.subscribe("app", list, |_| answer(200, ""));
    let Some(mut world) = world(apps).await else {
        return;
    };
    for n in 0..20 {
        publish(&world, "t", &n.to_string()).await;
    }
    // Whatever was delivered by now.
    let real = world.real();
    real.daprd.kill();
    real.redis.kill();
    real.redis.restart().await;
    real.daprd.start().await;
    publish(&world, "t", "20").await;
    let taken = async || {
        let sent = world.apps.wait("app", "/t", 1).await;
        let data = sent.iter().map(|sent| sent.json()["data"].as_u64());
        data.collect::<BTreeSet<_>>().len()
    };
    eventually("every event is taken", async || taken().await == 21).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_fire_at_the_package_that_scheduled_them_with_and_without_data() {
    let apps = Apps::default();
    for app in ["shop", "other"] {
        apps.set(app, |received| match received.path.as_str() {
            "/dapr/subscribe" => answer(404, ""),
            _ => answer(200, ""),
        });
    }
    let Some(world) = world(apps).await else {
        return;
    };
    let names = ["plain", "refund-order.7", "dataless"].map(unique);
    let [plain, dotted, dataless] = &names;
    for (name, job) in [
        (plain, json!({"dueTime": "100ms", "data": {"n": 1}})),
        (dotted, json!({"dueTime": "100ms", "data": "text"})),
        (dataless, json!({"dueTime": "100ms"})),
    ] {
        let scheduled = world
            .call("POST", &format!("/v1.0/jobs/{name}"), job.to_string())
            .await;
        assert_eq!(scheduled.status, 204, "{scheduled:?}");
    }
    for (name, data) in [(plain, json!({"n": 1})), (dotted, json!("text"))] {
        let fired = world.apps.wait("shop", &format!("/job/{name}"), 1).await;
        assert_eq!(fired[0].json(), data);
    }
    world
        .apps
        .wait("shop", &format!("/job/{dataless}"), 1)
        .await;
    for name in &names {
        assert_eq!(world.apps.count("other", &format!("/job/{name}")), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_survives_the_sudden_end_of_the_sidecar() {
    let apps = Apps::default();
    apps.set("shop", |received| match received.path.as_str() {
        "/dapr/subscribe" => answer(404, ""),
        _ => answer(200, ""),
    });
    let Some(mut world) = world(apps).await else {
        return;
    };
    let name = unique("job");
    let job = json!({"dueTime": "2s", "data": 1}).to_string();
    let path = format!("/v1.0/jobs/{name}");
    assert_eq!(world.call("POST", &path, job).await.status, 204);
    world.real().daprd.kill();
    world.real().daprd.start().await;
    world.apps.wait("shop", &format!("/job/{name}"), 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn configuration_is_read_and_changes_are_told_until_unsubscribed() {
    let apps = Apps::default();
    apps.set("shop", |received| match received.path.as_str() {
        "/dapr/subscribe" => answer(404, ""),
        _ => answer(200, ""),
    });
    let Some(world) = world(apps).await else {
        return;
    };
    const STORE: &str = "/v1.0/configuration/configstore";
    world.redis().call("SET a 1||v1").await;
    let items = world.call("GET", &format!("{STORE}?key=a"), "").await;
    assert_eq!(items.json()["a"]["value"], "1");
    let subscribed = world
        .call("GET", &format!("{STORE}/subscribe?key=a"), "")
        .await
        .json();
    // The sidecar answers before it listens: it is changed until the sidecar has heard of it.
    let path = "/configuration/configstore/a";
    let changes = AtomicUsize::new(2);
    eventually("a change is told", async || {
        let n = changes.fetch_add(1, Ordering::SeqCst);
        world.redis().call(&format!("SET a {n}||v{n}")).await;
        world.apps.count("shop", path) > 0
    })
    .await;
    let notice = world.apps.wait("shop", path, 1).await[0].json();
    assert_eq!(notice["id"], subscribed["id"]);
    let value = notice["items"]["a"]["value"].as_str().unwrap();
    assert!((2..changes.into_inner()).contains(&value.parse().unwrap()));
    let id = subscribed["id"].as_str().unwrap();
    let path = format!("{STORE}/{id}/unsubscribe");
    assert_eq!(world.call("GET", &path, "").await.json()["ok"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packages_behind_one_sidecar_do_not_see_each_others_state() {
    let Some(world) = world(Apps::default()).await else {
        return;
    };
    let saved = world
        .call(
            "POST",
            "/v1.0/state/statestore",
            r#"[{"key":"k","value":1}]"#,
        )
        .await;
    assert_eq!(saved.status, 204);
    let all = wasmgate_dapr::Grants::all();
    let path = "/v1.0/state/statestore/k";
    assert_eq!(world.call("GET", path, "").await.json(), 1);
    assert_eq!(
        world.relayed_as("other", &all, "GET", path).await.status,
        204
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_are_read_by_name() {
    let Some(world) = world(Apps::default()).await else {
        return;
    };
    let secret = world
        .call("GET", "/v1.0/secrets/secretstore/GREETING", "")
        .await;
    assert_eq!(secret.json(), json!({"GREETING": "hello"}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bulk_subscriber_gets_batches_and_another_of_the_topic_each_event() {
    let apps = Apps::default();
    let bulk = json!([{"pubsubname": "pubsub", "topic": "t", "route": "/t",
        "bulkSubscribe": {"enabled": true, "maxMessagesCount": 10, "maxAwaitDurationMs": 300}}]);
    let refused = Arc::new(AtomicUsize::new(0));
    let refusals = refused.clone();
    apps.subscribe("batch", bulk, move |received| {
        // The first try of the event 3 asks for another.
        let batch = received.json();
        let entries = batch["entries"].as_array().unwrap().iter();
        let statuses = entries.map(|entry| {
            let again = entry["event"]["data"] == 3 && refusals.fetch_add(1, Ordering::SeqCst) == 0;
            json!({"entryId": entry["entryId"], "status": if again { "RETRY" } else { "SUCCESS" }})
        });
        answer(200, json!({"statuses": statuses.collect::<Vec<_>>()}))
    });
    let single = json!([{"pubsubname": "pubsub", "topic": "t", "route": "/t"}]);
    apps.subscribe("single", single, |_| answer(200, ""));
    let Some(world) = world(apps).await else {
        return;
    };
    for n in 1..=6 {
        publish(&world, "t", &n.to_string()).await;
    }
    eventually("the refused event comes again", || async {
        refused.load(Ordering::SeqCst) >= 2
    })
    .await;
    let singles = world.apps.wait("single", "/t", 6).await;
    let mut data: Vec<i64> = singles
        .iter()
        .filter_map(|one| one.json()["data"].as_i64())
        .collect();
    data.sort_unstable();
    assert_eq!(data, [1, 2, 3, 4, 5, 6]);
    let batches = world.apps.wait("batch", "/t", 1).await;
    assert!(batches.len() < 7, "{}", batches.len());
    let events: usize = batches
        .iter()
        .map(|batch| batch.json()["entries"].as_array().unwrap().len())
        .sum();
    assert_eq!(events, 7, "{batches:?}");
}
