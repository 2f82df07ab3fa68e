//! What a configuration names and is not there, or has and nobody reaches: told by `check`, and by the log of `up`.

use std::path::Path;

use tempfile::TempDir;

use crate::harness::{Builder, Signal, TestGateway, empty, guest, run, send_to, until};

/// `EX_USAGE`.
const USAGE: i32 = 64;

/// Exit code and all the words of `wasmgate check`.
fn check(folder: &Path) -> (Option<i32>, String) {
    let output = run(folder, &["check"]);
    let told = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (output.status.code(), told.concat())
}

#[track_caller]
fn assert_notes(builder: &Builder, notes: &[&str]) {
    let folder = TempDir::new().unwrap();
    builder.write_to(folder.path());
    let (code, told) = check(folder.path());
    assert_eq!(code, Some(0), "{told}");
    for note in notes {
        assert!(told.contains(note), "nothing of {note:?} in:\n{told}");
    }
}

#[test]
fn each_grant_that_opens_nothing_is_told_with_the_near_name() {
    let grants = r#"dapr = { state = ["statstore"], publish = ["pubsb/orders"], subscribe = ["pubsub/*", "bus/a"],
        invoke = ["helo", "hello"], bindings = ["mailer", "*"], secrets = ["secretstor/key"],
        configuration = ["configstore/a", "confgstore/b"], lock = ["lockstores"] }"#
        .replace("\n        ", " ");
    let builder = TestGateway::builder()
        .guest("hello")
        .guest_as("shop", "hello", &grants);
    assert_notes(
        &builder,
        &[
            r#"state = ["statstore"] in its `dapr` opens nothing: no state store has this name; did you mean "statestore"?"#,
            r#"publish = ["pubsb/orders"] in its `dapr` opens nothing: no pub/sub component has this name; did you mean "pubsub"?"#,
            r#"subscribe = ["bus/a"] in its `dapr` opens nothing"#,
            r#"invoke = ["helo"] in its `dapr` opens nothing: no package has this name; did you mean "hello"?"#,
            r#"bindings = ["mailer"] in its `dapr` opens nothing: no binding has this name"#,
            r#"did you mean "secretstore"?"#,
            r#"did you mean "configstore"?"#,
            r#"did you mean "lockstore"?"#,
        ],
    );
    let folder = TempDir::new().unwrap();
    builder.write_to(folder.path());
    let (_, told) = check(folder.path());
    assert_eq!(told.matches("opens nothing").count(), 8, "{told}");
}

#[test]
fn a_component_of_which_no_scope_names_a_package_is_told() {
    let store = "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {name: carts}\n\
                 spec: {type: state.sqlite, version: v1, metadata: [{name: outboxPublishPubsub, value: bus}, \
                 {name: outboxPublishTopic, value: t}]}\nscopes: [shpo]\n";
    let orders = "apiVersion: dapr.io/v2alpha1\nkind: Subscription\nmetadata: {name: s}\n\
                  spec: {pubsubname: bus, topic: orders, routes: {default: /orders}}\nscopes: [shpo]\n";
    let builder = TestGateway::builder()
        .file("components/carts.yaml", store)
        .file("components/orders.yaml", orders)
        .guest_as("shop", "hello", r#"dapr = { state = ["carts"] }"#);
    assert_notes(
        &builder,
        &[
            r#"state = ["carts"] in its `dapr` opens nothing: the scopes of the state store do not name the package"#,
            "component carts is open to no package: its scopes name shpo",
            r#"component carts cannot publish its transactions: there is no pub/sub component "bus""#,
            r#"the subscription to bus/orders brings nothing: there is no pub/sub component "bus""#,
            "the subscription to bus/orders is for no package: its scopes name shpo",
        ],
    );
}

#[tokio::test]
async fn the_start_warns_of_a_grant_that_opens_nothing_and_so_does_a_reload() {
    let builder = TestGateway::builder().guest_as("shop", "hello", r#"dapr = { state = ["statstore"] }"#);
    let gateway = builder.start();
    let warned = |name: &'static str| {
        let gateway = &gateway;
        move || async move { gateway.log().contains(&format!("state = [\\\"{name}\\\"]")) }
    };
    until("a warning at the start", warned("statstore")).await;
    let toml = std::fs::read_to_string(gateway.folder().join("wasmgate.toml")).unwrap();
    let other = toml.replace("statstore", "statestor");
    std::fs::write(gateway.folder().join("wasmgate.toml"), other).unwrap();
    gateway.signal(Signal::Hangup);
    until("a warning at the reload", warned("statestor")).await;
}

#[tokio::test]
async fn files_that_nobody_uses_yet_are_checked_and_keep_nobody_from_being_served() {
    for (file, text) in [
        ("components/store.yaml", "kind: Component\nmetadata: ["),
        (".wasmgate/secrets.json", "{\"key\": "),
    ] {
        let folder = TempDir::new().unwrap();
        let builder = TestGateway::builder().file(file, text).guest("hello");
        builder.write_to(folder.path());
        let (code, told) = check(folder.path());
        let name = file.rsplit('/').next().unwrap();
        assert_eq!(code, Some(USAGE), "{told}");
        assert!(told.contains(name), "{told}");
        let gateway = builder.start_in(folder.path());
        until("a warning", || async { gateway.log().contains(name) }).await;
        assert_eq!(gateway.get("/hello").await.status, 200);
    }
}

#[test]
fn broken_secrets_are_a_mistake_for_those_who_use_them() {
    let folder = TempDir::new().unwrap();
    TestGateway::builder()
        .file(".wasmgate/secrets.json", "[1]")
        .guest_as("shop", "hello", r#"dapr = { state = ["statestore"] }"#)
        .write_to(folder.path());
    for command in ["check", "up"] {
        let output = run(folder.path(), &[command]);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(USAGE), "{told}");
        assert!(
            told.contains("secrets.json must hold a JSON object"),
            "{told}"
        );
    }
}

#[test]
fn a_route_that_is_kept_for_dapr_s_calls_is_refused_with_its_line() {
    for (path, lines, grants, is_right) in [
        ("/job/{name}", "", "{}", false),
        ("/configuration/{*rest}", "", "{}", false),
        ("/dapr/subscribe", "", "{}", false),
        ("/%64apr/config", "", "{}", false),
        ("/api/job/x", "strip_prefix = \"/api\"", "{}", false),
        ("/job/v1/{*rest}", "strip_prefix = \"/job\"", "{}", true),
        ("/api/job/x", "", "{}", true),
        ("/jobs/{id}", "", "{}", true),
        ("/{*rest}", "", "{}", true),
        // Without grants a package has only the paths that are Dapr's in every app.
        ("/job/{name}", "", "", true),
        ("/dapr/{*rest}", "", "", false),
    ] {
        let folder = TempDir::new().unwrap();
        let dapr = if grants.is_empty() {
            String::new()
        } else {
            format!("dapr = {grants}")
        };
        let builder = TestGateway::builder()
            .package("shop", &guest("hello"), &dapr)
            .route_with(path, "shop", lines);
        builder.write_to(folder.path());
        let (code, told) = check(folder.path());
        let line = 1 + builder
            .toml()
            .lines()
            .position(|line| line.contains("path = "))
            .unwrap();
        let is_told =
            told.contains(&format!("wasmgate.toml:{line}:")) && told.contains("no request reaches this route");
        assert_eq!(
            (code == Some(0), is_told),
            (is_right, !is_right),
            "{path} {lines} {dapr}: {told}"
        );
    }
}

#[tokio::test]
async fn a_public_route_by_which_events_come_is_told() {
    let cron = "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {name: sweep}\n\
                spec: {type: bindings.cron, version: v1, metadata: [{name: schedule, value: '@every 1h'}]}\n---\n\
                apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {name: pubsub}\n\
                spec: {type: pubsub.in-memory, version: v1, metadata: []}\n---\n\
                apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {name: statestore}\n\
                spec: {type: state.sqlite, version: v1, metadata: []}\n";
    let builder = TestGateway::builder()
        .file("components/all.yaml", cron)
        .subscriber("shop", "takes_deliveries", "orders")
        .route("/sweep", "shop")
        .route("/events", "shop");
    let told_of = |path: &str| {
        format!("no request reaches the route {path}: by its path events or bindings come to package shop")
    };
    // What a package subscribes to by itself is known once it is asked.
    assert_notes(&builder, &[&told_of("/sweep")]);
    let gateway = builder.start();
    for path in ["/sweep", "/events"] {
        until("a warning", || async {
            gateway.log().contains(&told_of(path))
        })
        .await;
        gateway.get(path).await.assert_error(404, "no-route");
    }
    assert_eq!(
        gateway
            .log()
            .matches("no request reaches the route")
            .count(),
        2
    );
}

#[tokio::test]
async fn a_subscription_that_is_left_out_is_logged_once_a_start() {
    let folder = TempDir::new().unwrap();
    let builder = TestGateway::builder().guest_as(
        "shop",
        "takes_deliveries",
        r#"env = { SUBSCRIPTIONS = '[{"pubsubname":"pubsub","topic":"orders","route":"/e"}]' }
           dapr = { state = ["statestore"], subscribe = ["pubsub/other"] }"#,
    );
    // From the second start on the gateway knows what the package told it before.
    for _ in 0..2 {
        let gateway = builder.start_in(folder.path());
        gateway.ready().await;
        let left_out = [
            ("message", "a subscription is left out"),
            ("topic", "pubsub/orders"),
        ];
        gateway.wait_for_event(&left_out).await;
        gateway.signal(Signal::Hangup);
        gateway
            .wait_for_event(&[("message", "the configuration was reloaded")])
            .await;
        let events = gateway.events();
        let told = events.iter().filter(|event| event.has(&left_out)).count();
        assert_eq!(told, 1, "{}", gateway.log());
    }
}

#[tokio::test]
async fn the_admin_listener_answers_what_it_does_not_have_with_a_document() {
    let gateway = TestGateway::builder().guest("hello").start();
    for (method, target, status) in [
        ("GET", "/no-such-page", 404),
        ("DELETE", "/metrics", 405),
        ("GET", "/reload", 405),
    ] {
        let request = http::Request::builder()
            .method(method)
            .uri(target)
            .header("host", "localhost")
            .body(empty())
            .unwrap();
        let reply = send_to(gateway.admin, request).await;
        assert_eq!(reply.status, status, "{target}");
        assert_eq!(
            reply.header("content-type"),
            Some("application/problem+json"),
            "{target}"
        );
        assert_eq!(reply.json()["status"], status, "{target}");
        assert!(
            reply.json()["message"]
                .as_str()
                .unwrap()
                .contains("/readyz"),
            "{target}"
        );
        assert_eq!(reply.header("allow").is_some(), status == 405, "{target}");
    }
    let reply = gateway.admin_get("/parked?limit=many").await;
    assert_eq!(reply.status, 400);
    assert!(reply.json()["message"].is_string());
}
