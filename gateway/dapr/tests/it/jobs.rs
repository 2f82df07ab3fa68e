//! Job scenarios.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::body::{Body, Bytes};
use futures_util::stream;
use http::Response;
use serde_json::{Value, json};
use wasmgate_dapr::Grants;

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
async fn an_app_whose_jobs_hang_keeps_no_other_apps_job_waiting() {
    let apps = apps(200);
    apps.set("flood", |received| match received.path.as_str() {
        "/dapr/subscribe" => answer(404, ""),
        // An answer that does not end.
        _ => Response::new(Body::from_stream(stream::pending::<
            Result<Bytes, Infallible>,
        >())),
    });
    let world = World::in_process(apps).await;
    let job = json!({"dueTime": "0s", "data": 1}).to_string();
    let grants = Grants::all();
    for n in 0..100 {
        let path = format!("/v1.0/jobs/{n}");
        let scheduled = world
            .call_as("flood", &grants, "POST", &path, job.clone())
            .await;
        assert_eq!(scheduled.status, 204);
    }
    let under_way = || {
        (0..100)
            .filter(|n| world.apps.count("flood", &format!("/job/{n}")) > 0)
            .count()
    };
    eventually("its jobs fire", || async { under_way() == 16 }).await;
    assert_eq!(
        schedule(&world, "mine", json!({"dueTime": "0s"})).await,
        204
    );
    gone(&world, "mine").await;
    assert_eq!(world.apps.count("shop", "/job/mine"), 1);
    // No more of the other's fired meanwhile.
    assert_eq!(under_way(), 16);
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
    let policy = json!({"constant": {"interval": "0.01s", "maxRetries": 2}});
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
async fn a_job_is_called_by_its_name_as_json_and_its_data_keeps_every_digit() {
    let world = World::in_process(apps(200)).await;
    let data = r#"{"n":12345678901234567890123,"x":1.00,"@type":"mine","value":1e2}"#;
    let body = format!(r#"{{"due_time":"PT0S","data":{data}}}"#);
    let sent = world.call("POST", "/v1.0/jobs/refund-order.7", body).await;
    assert_eq!(sent.status, 204);
    let fired = world
        .apps
        .wait("shop", "/job/refund-order.7", 1)
        .await
        .remove(0);
    assert_eq!(fired.headers["content-type"], "application/json");
    assert_eq!(fired.body, data);
    // What may not stand in a path is encoded, and only that.
    let sent = world.call(
        "POST",
        "/v1.0/jobs/a%20b%25c:d@e~f%2Fg",
        r#"{"dueTime":"0s"}"#,
    );
    assert_eq!(sent.await.status, 204);
    let fired = world
        .apps
        .wait("shop", "/job/a%20b%25c:d@e~f/g", 1)
        .await
        .remove(0);
    assert_eq!(fired.body, "null");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_for_which_the_app_has_no_route_is_tried_again() {
    let apps = Apps::default();
    let asked = AtomicBool::new(false);
    apps.set("shop", move |received| match received.path.as_str() {
        "/job/j" if asked.swap(true, Ordering::SeqCst) => answer(200, ""),
        _ => answer(404, ""),
    });
    let world = World::in_process(apps).await;
    let policy = json!({"constant": {"interval": "0.01s", "max_retries": "5"}});
    let job = json!({"dueTime": "0s", "failure_policy": policy});
    assert_eq!(schedule(&world, "j", job).await, 204);
    gone(&world, "j").await;
    assert_eq!(world.apps.count("shop", "/job/j"), 2);
}

#[tokio::test]
async fn a_job_is_shown_as_dapr_shows_it() {
    let world = World::in_process(apps(200)).await;
    let job = json!({"schedule": "@every 1h", "repeats": "2", "data": {"a": 1}, "unknown": 1, "ttl": null});
    assert_eq!(schedule(&world, "j", job).await, 204);
    assert_eq!(
        world.call("GET", "/v1.0-alpha1/jobs/j", "").await.json(),
        json!({"name": "j", "schedule": "@every 1h", "repeats": 2,
               "data": {"@type": "type.googleapis.com/google.protobuf.Value", "value": {"a": 1}},
               "failurePolicy": {"constant": {"interval": "1s", "maxRetries": 3}}})
    );
    // There is no list.
    for path in ["/v1.0-alpha1/jobs", "/v1.0/jobs"] {
        world
            .call("GET", path, "")
            .await
            .fails(404, "ERR_DIRECT_INVOKE");
    }
}

#[tokio::test]
async fn what_daprs_scheduler_refuses_is_refused_under_its_code() {
    let world = World::in_process(apps(200)).await;
    let (failed, empty) = (
        "DAPR_SCHEDULER_SCHEDULE_JOB",
        "DAPR_SCHEDULER_SCHEDULE_EMPTY",
    );
    for (body, code) in [
        ("", empty),
        (r#"{"data":1}"#, empty),
        (r#"{"dueTime":"1s","name":"j"}"#, "DAPR_SCHEDULER_JOB_NAME"),
        (r#"{"schedule":"30 3 * * *"}"#, failed),
        (r#"{"schedule":"0 30 3 * * 7"}"#, failed),
        (r#"{"schedule":""}"#, failed),
        (r#"{"dueTime":"1s","ttl":"5s"}"#, failed),
        (
            r#"{"schedule":"@daily","dueTime":"5s","ttl":"2020-01-01T00:00:00Z"}"#,
            failed,
        ),
        (r#"{"dueTime":"1s","repeats":2}"#, failed),
        (r#"{"schedule":"@daily","repeats":0}"#, failed),
        (
            r#"{"dueTime":"1s","failurePolicy":{"constant":{"interval":"500ms"}}}"#,
            failed,
        ),
        (r#"{"dueTime":"1s","repeats":-1}"#, "ERR_MALFORMED_REQUEST"),
        (
            r#"{"dueTime":"1s","due_time":"1s"}"#,
            "ERR_MALFORMED_REQUEST",
        ),
        ("[", "ERR_MALFORMED_REQUEST"),
    ] {
        let answer = world.call("POST", "/v1.0/jobs/j", body.to_owned()).await;
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
        answer.fails(400, code);
    }
    for name in ["a%7Cb", "..", "a%2F..%2Fb", "a%2F%2Fb"] {
        let answer = world
            .call("POST", &format!("/v1.0/jobs/{name}"), r#"{"dueTime":"1s"}"#)
            .await;
        assert_eq!(answer.status, 400, "{name}");
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

#[tokio::test]
async fn a_job_that_nobody_could_take_is_refused_with_what_to_do() {
    let world = World::in_process(apps(200)).await;
    let body = r#"{"dueTime":"1s"}"#;
    let refused = world
        .call_as("nobody", &Grants::all(), "POST", "/v1.0/jobs/j", body)
        .await;
    refused.fails(400, "DAPR_SCHEDULER_SCHEDULE_JOB");
    assert!(
        refused.json()["message"]
            .to_string()
            .contains("app_address"),
        "{refused:?}"
    );
}
