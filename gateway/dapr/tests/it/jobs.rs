//! Job scenarios.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde_json::{Value, json};

use crate::harness::{Apps, UNAVAILABLE, World, answer, eventually, start};

fn apps(status: u16) -> Apps {
    let apps = Apps::default();
    apps.set("shop", move |received| match received.path.as_str() {
        "/dapr/subscribe" => answer(404, ""),
        _ => answer(status, ""),
    });
    apps
}

async fn schedule(world: &World, name: &str, job: Value) -> u16 {
    world
        .call("POST", &format!("/v1.0/jobs/{name}"), job.to_string())
        .await
        .status
}

async fn gone(world: &World, name: &str) {
    let path = format!("/v1.0/jobs/{name}");
    eventually("the job is done", || async {
        world.call("GET", &path, "").await.status == 404
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_due_job_fires_once_with_its_data() {
    let world = World::in_process(apps(200)).await;
    assert_eq!(
        schedule(&world, "j", json!({"dueTime": "50ms", "data": {"n": 1}})).await,
        204
    );
    assert_eq!(
        world.apps.wait("shop", "/job/j", 1).await[0].json(),
        json!({"n": 1})
    );
    gone(&world, "j").await;
    assert_eq!(world.apps.count("shop", "/job/j"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_repeats_as_often_as_it_says() {
    let world = World::in_process(apps(200)).await;
    assert_eq!(
        schedule(
            &world,
            "j",
            json!({"schedule": "@every 100ms", "repeats": 3})
        )
        .await,
        204
    );
    let shown = world.call("GET", "/v1.0/jobs/j", "").await.json();
    assert_eq!(
        (&shown["name"], &shown["schedule"]),
        (&json!("j"), &json!("@every 100ms"))
    );
    gone(&world, "j").await;
    assert_eq!(world.apps.count("shop", "/job/j"), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_job_is_tried_as_its_policy_says() {
    let world = World::in_process(apps(500)).await;
    let policy = json!({"constant": {"interval": "10ms", "maxRetries": 2}});
    schedule(
        &world,
        "retried",
        json!({"dueTime": "0s", "failurePolicy": policy}),
    )
    .await;
    schedule(
        &world,
        "dropped",
        json!({"dueTime": "0s", "failurePolicy": {"drop": {}}}),
    )
    .await;
    gone(&world, "retried").await;
    gone(&world, "dropped").await;
    assert_eq!(world.apps.count("shop", "/job/retried"), 3);
    assert_eq!(world.apps.count("shop", "/job/dropped"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_is_taken_until_overwritten_or_deleted() {
    let world = World::in_process(apps(200)).await;
    let job = json!({"dueTime": "2099-01-01T00:00:00Z"});
    assert_eq!(schedule(&world, "j", job.clone()).await, 204);
    assert_eq!(schedule(&world, "j", job.clone()).await, 409);
    let sooner = json!({"dueTime": "2098-01-01T00:00:00Z", "overwrite": true});
    assert_eq!(schedule(&world, "j", sooner).await, 204);
    assert_eq!(
        world.call("GET", "/v1.0/jobs/j", "").await.json()["dueTime"],
        "2098-01-01T00:00:00Z"
    );
    assert_eq!(world.call("DELETE", "/v1.0/jobs/j", "").await.status, 204);
    assert_eq!(world.call("GET", "/v1.0/jobs/j", "").await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_time_to_live_ends_a_schedule() {
    let world = World::in_process(apps(200)).await;
    schedule(
        &world,
        "j",
        json!({"schedule": "@every 100ms", "ttl": "450ms"}),
    )
    .await;
    gone(&world, "j").await;
    assert!(world.apps.count("shop", "/job/j") <= 4);
}

#[tokio::test]
async fn what_is_no_schedule_is_refused() {
    let world = World::in_process(apps(200)).await;
    for job in [
        json!({}),
        json!({"schedule": "every day"}),
        json!({"dueTime": "soon"}),
        json!({"schedule": "@daily", "ttl": "x"}),
        json!({"dueTime": "1s", "failurePolicy": {"constant": {"interval": "x"}}}),
    ] {
        assert_eq!(schedule(&world, "j", job.clone()).await, 400, "{job}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_survives_a_restart_and_waits_for_its_app() {
    let up = Arc::new(AtomicBool::new(false));
    let apps = Apps::default();
    let flag = up.clone();
    apps.set("shop", move |received| match received.path.as_str() {
        "/dapr/subscribe" => answer(404, ""),
        _ if flag.load(Ordering::SeqCst) => answer(200, ""),
        _ => answer(UNAVAILABLE.as_u16(), ""),
    });
    let world = World::in_process(apps).await;
    schedule(&world, "j", json!({"dueTime": "0s"})).await;
    world.apps.wait("shop", "/job/j", 1).await;
    world.dapr().stop().await;
    let World {
        dapr, folder, apps, ..
    } = world;
    drop(dapr);
    up.store(true, Ordering::SeqCst);
    let before = apps.count("shop", "/job/j");
    let data = folder.path().join("data");
    let _dapr = start(
        wasmgate_dapr::Settings {
            data,
            ..Default::default()
        },
        &apps,
    )
    .await;
    apps.wait("shop", "/job/j", before + 1).await;
}
