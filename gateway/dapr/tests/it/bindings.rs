//! Binding scenarios.

use axum::{Router, routing::post};
use serde_json::json;
use tokio::net::TcpListener;

use crate::harness::{Apps, World, answer};

async fn world(apps: Apps, url: &str) -> World {
    let text = format!(
        "
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {{name: tick}}
spec: {{type: bindings.cron, version: v1, metadata: [{{name: schedule, value: '@every 100ms'}}]}}
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {{name: web}}
spec: {{type: bindings.http, version: v1, metadata: [{{name: url, value: '{url}'}}]}}
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {{name: files}}
spec: {{type: bindings.localstorage, version: v1, metadata: [{{name: rootPath, value: files}}]}}
"
    );
    World::with_components(apps, &[("all.yaml", &text)]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cron_calls_the_apps_that_have_a_route_for_it() {
    let apps = Apps::default();
    apps.set("with", |received| match received.path.as_str() {
        "/tick" => answer(200, ""),
        _ => answer(404, ""),
    });
    apps.set("without", |_| answer(404, ""));
    let world = world(apps, "http://127.0.0.1:1").await;
    // The OPTIONS question and two ticks.
    let tick = &world.apps.wait("with", "/tick", 3).await[1];
    assert_eq!(tick.headers["content-type"], "application/json");
    assert_eq!(tick.headers["timezone"], "UTC");
    let time = tick.headers["readtimeutc"].to_str().unwrap();
    assert!(time.ends_with(" +0000 UTC"), "{time}");
    assert_eq!(world.apps.count("without", "/tick"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_calls_the_address_and_answers_with_its_body() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new()
        .route(
            "/echo",
            post(|body: String| async move { format!("got {body}") }),
        )
        .route("/broken", post(|| async { http::StatusCode::IM_A_TEAPOT }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let world = world(Apps::default(), &url).await;
    let body = json!({"operation": "post", "data": {"a": 1}, "metadata": {"path": "/echo"}});
    let answer = world
        .call("POST", "/v1.0/bindings/web", body.to_string())
        .await;
    assert_eq!(
        (answer.status, &answer.body[..]),
        (200, &br#"got {"a":1}"#[..])
    );
    assert_eq!(answer.header("metadata.statuscode"), "200");
    assert_eq!(answer.header("content-type"), "application/json");
    // A text is sent as the JSON that it is.
    let body = json!({"operation": "post", "data": "hi", "metadata": {"path": "/echo"}});
    let answer = world
        .call("POST", "/v1.0/bindings/web", body.to_string())
        .await;
    assert_eq!(&answer.body[..], br#"got "hi""#);
    let body = json!({"operation": "post", "metadata": {"path": "/broken"}}).to_string();
    let answer = world.call("POST", "/v1.0/bindings/web", body).await;
    answer.fails(500, "ERR_INVOKE_OUTPUT_BINDING");
    assert_eq!(answer.header("metadata.statuscode"), "418");
    let body = json!({"operation": "post", "metadata": {"path": "/broken", "errorIfNot2XX": "no"}});
    let answer = world
        .call("POST", "/v1.0/bindings/web", body.to_string())
        .await;
    assert_eq!(
        (answer.status, answer.header("metadata.statuscode")),
        (200, "418")
    );
}

#[tokio::test]
async fn local_storage_keeps_files_below_its_folder() {
    let world = world(Apps::default(), "http://127.0.0.1:1").await;
    let run = |operation: &str, name: &str, data: &str| {
        let body = json!({"operation": operation, "data": data, "metadata": {"fileName": name}});
        let world = &world;
        async move {
            world
                .call("POST", "/v1.0/bindings/files", body.to_string())
                .await
        }
    };
    let made = run("create", "a/b.txt", "some text").await;
    assert_eq!(made.json(), json!({"fileName": "a/b.txt"}));
    assert_eq!(&run("get", "a/b.txt", "").await.body[..], b"some text");
    // Bytes that are no text come as base64.
    run("create", "bytes", "AAEC/w==").await;
    assert_eq!(&run("get", "bytes", "").await.body[..], b"\0\x01\x02\xff");
    run("create", "empty", "").await;
    let empty = run("get", "empty", "").await;
    assert_eq!((empty.status, empty.body.len()), (200, 0));
    assert_eq!(
        run("list", "a", "").await.json().as_array().unwrap().len(),
        1
    );
    run("get", "../all.yaml", "")
        .await
        .fails(500, "ERR_INVOKE_OUTPUT_BINDING");
    assert_eq!(run("delete", "a/b.txt", "").await.status, 204);
    run("get", "a/b.txt", "")
        .await
        .fails(500, "ERR_INVOKE_OUTPUT_BINDING");
}

#[tokio::test]
async fn unknown_bindings_and_operations_are_refused() {
    let world = world(Apps::default(), "http://127.0.0.1:1").await;
    for (name, operation) in [
        ("nosuch", "get"),
        ("files", "explode"),
        ("tick", "get"),
        ("web", "get"),
    ] {
        let body = json!({"operation": operation}).to_string();
        let answer = world
            .call("POST", &format!("/v1.0/bindings/{name}"), body)
            .await;
        answer.fails(500, "ERR_INVOKE_OUTPUT_BINDING");
    }
}
