//! Invocation scenarios.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use wasmgate_dapr::Grants;

use crate::harness::{Apps, Kind, UNAVAILABLE, World, answer};

fn apps() -> Apps {
    let apps = Apps::default();
    apps.set("menu", |received| match received.path.as_str() {
        "/dapr/subscribe" => answer(404, ""),
        "/tea" => answer(UNAVAILABLE.as_u16(), ""),
        _ => {
            let mut response = answer(
                201,
                json!({"path": received.path, "method": received.method.as_str()}),
            );
            response
                .headers_mut()
                .insert("x-answer", "yes".parse().unwrap());
            response
                .headers_mut()
                .insert("connection", "x-hop".parse().unwrap());
            response.headers_mut().insert("x-hop", "1".parse().unwrap());
            response
        }
    });
    apps
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_verb_and_path_passes_through_with_its_answer() {
    for kind in [Kind::InProcess, Kind::Tcp] {
        let world = World::with(kind, apps(), |_| {}).await;
        for (method, path, seen) in [
            (
                "GET",
                "/v1.0/invoke/menu/method/items/1?x=a%20b",
                "/items/1?x=a%20b",
            ),
            ("PATCH", "/v1.0/invoke/menu/method/a//b%2Fc/", "/a/b%2Fc"),
            ("POST", "/v1.0/invoke/menu/method/", "/"),
            ("DELETE", "/v1.0/invoke/menu.default/method/x", "/x"),
        ] {
            let answer = world.call(method, path, "").await;
            assert_eq!(answer.status, 201, "{path}");
            assert_eq!(answer.json(), json!({"path": seen, "method": method}));
            assert_eq!(
                (answer.header("x-answer"), answer.header("x-hop")),
                ("yes", "")
            );
        }
        for path in [
            "/v1.0/invoke/menu/method/a/./b/../c",
            "/v1.0/invoke/menu/method/%2e%2e%2fx",
        ] {
            let refused = world.call("GET", path, "").await;
            refused.fails(400, "ERR_MALFORMED_REQUEST");
        }
        // `dapr-app-id:menu`, the third way to name a callee.
        let headers = [("authorization", "Basic ZGFwci1hcHAtaWQ6bWVudQ==")];
        let answer = world.call_with("GET", "/by/user", &headers, "").await;
        assert_eq!(answer.json()["path"], "/by/user");
        let sent = &world.apps.wait("menu", "/by/user", 1).await[0];
        assert!(!sent.headers.contains_key("authorization"));
        let headers = [
            ("dapr-app-id", "menu"),
            ("te", "trailers"),
            ("proxy-connection", "keep-alive"),
            ("http2-settings", "AAMAAABkAAQAAP__"),
        ];
        let answer = world.call_with("PUT", "/by/header", &headers, "body").await;
        assert_eq!(answer.json()["path"], "/by/header");
        let sent = &world.apps.wait("menu", "/by/header", 1).await[0];
        assert_eq!(sent.headers["dapr-caller-app-id"], "shop");
        assert_eq!(sent.headers["dapr-callee-app-id"], "menu");
        assert!(sent.headers.contains_key("traceparent"));
        for name in headers.map(|(name, _)| name) {
            assert!(!sent.headers.contains_key(name), "{name}");
        }
        assert_eq!(sent.body, "body");
    }
}

#[tokio::test]
async fn failures_are_told_apart() {
    let world = World::in_process(apps()).await;
    world
        .call("GET", "/v1.0/invoke/nobody/method/x", "")
        .await
        .fails(500, "ERR_DIRECT_INVOKE");
    world
        .call("GET", "/v1.0/invoke/menu/method/tea", "")
        .await
        .fails(500, "ERR_DIRECT_INVOKE");
    world
        .call("GET", "/v1.0/nonsense", "")
        .await
        .fails(404, "ERR_DIRECT_INVOKE");
    let none = Grants::none();
    let denied = world
        .call_as("shop", &none, "GET", "/v1.0/invoke/menu/method/x", "")
        .await;
    denied.fails(403, "ERR_DIRECT_INVOKE");
}

#[tokio::test]
async fn an_answer_without_a_content_type_gets_the_one_that_the_sidecar_would_give() {
    let apps = Apps::default();
    apps.set("menu", |received| match received.path.as_str() {
        "/bytes" => answer(200, "\0\u{1}"),
        "/text" => answer(200, "text"),
        "/empty" => answer(200, ""),
        _ => answer(409, "no"),
    });
    let world = World::in_process(apps).await;
    for (path, kind, body) in [
        ("bytes", "application/octet-stream", "\0\u{1}"),
        ("text", "text/plain; charset=utf-8", "text"),
        ("empty", "", ""),
        ("other", "application/json", "no"),
    ] {
        let path = format!("/v1.0/invoke/menu/method/{path}");
        let answer = world.call("GET", &path, "").await;
        assert_eq!(
            (answer.header("content-type"), &answer.body[..]),
            (kind, body.as_bytes())
        );
    }
}

#[tokio::test]
async fn four_mebibytes_are_an_invocation_s_limit_too() {
    let apps = Apps::default();
    apps.set("menu", |received| answer(200, received.body.len()));
    let world = World::in_process(apps).await;
    let path = "/v1.0/invoke/menu/method/x";
    let most = 4 * 1024 * 1024;
    let answer = world.call("POST", path, "x".repeat(most)).await;
    assert_eq!((answer.status, answer.json()), (200, json!(most)));
    let answer = world.call("POST", path, "x".repeat(most + 1)).await;
    answer.fails(500, "ERR_DIRECT_INVOKE");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_retries_an_app_that_cannot_be_reached() {
    let apps = Apps::default();
    let tries = AtomicUsize::new(0);
    apps.set("menu", move |received| match received.path.as_str() {
        "/dapr/subscribe" => answer(404, ""),
        _ if tries.fetch_add(1, Ordering::SeqCst) < 2 => answer(UNAVAILABLE.as_u16(), ""),
        _ => answer(200, String::from_utf8_lossy(&received.body)),
    });
    let policy = "
apiVersion: dapr.io/v1alpha1
kind: Resiliency
metadata: {name: r}
spec:
  policies:
    retries: {fast: {policy: exponential, duration: 1ms, maxInterval: 5ms, maxRetries: 5}}
    timeouts: {short: 5s}
  targets: {apps: {menu: {retry: fast, timeout: short}}}
";
    let world = World::with_components(apps, &[("r.yaml", policy)]).await;
    let answer = world
        .call("POST", "/v1.0/invoke/menu/method/x", "body")
        .await;
    assert_eq!((answer.status, &answer.body[..]), (200, &b"body"[..]));
    assert_eq!(world.apps.count("menu", "/x"), 3);
}
