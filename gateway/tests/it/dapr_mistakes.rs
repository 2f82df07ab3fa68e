//! Bad input to the building blocks: from guests, in component files, and in the database file.

use serde_json::json;
use tempfile::TempDir;

use crate::harness::{Builder, TestGateway, run};

/// `EX_USAGE`.
const USAGE: i32 = 64;

/// `EX_IOERR`.
const IO_ERROR: i32 = 74;

const STORE: &str = "/v1.0/state/statestore";

/// Two quick retries of every delivery.
const FILES: &str = "
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: pubsub}
spec: {type: pubsub.in-memory, version: v1}
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: statestore}
spec: {type: state.sqlite, version: v1}
---
apiVersion: dapr.io/v1alpha1
kind: Resiliency
metadata: {name: quickly}
spec:
  policies:
    retries: {twice: {policy: constant, duration: 50ms, maxRetries: 2}}
  targets:
    components: {pubsub: {inbound: {retry: twice}}}
";

/// A package's table: what it subscribes to.
fn subscribes(topic: &str, dead: &str) -> String {
    format!(
        r#"env = {{ SUBSCRIPTIONS = '[{{"pubsubname":"pubsub","topic":"{topic}","route":"/events"{dead}}}]' }}
           dapr = {{ state = ["statestore"] }}"#
    )
}

fn shop() -> Builder {
    TestGateway::builder().limits("request_body = \"64MiB\"").guest_as(
        "shop",
        "calls_dapr",
        r#"dapr = { state = ["*"], publish = ["*/*"], lock = ["*"], bindings = ["*"], secrets = ["*"], configuration = ["*"], jobs = true }"#,
    )
}

#[tokio::test]
async fn bad_calls_are_refused_each_with_its_documented_error() {
    let gateway = shop().start();
    let transaction = format!("{STORE}/transaction");
    let malformed = "ERR_MALFORMED_REQUEST";
    for (method, path, body, status, code) in [
        ("POST", STORE, "[{", 400, malformed),
        (
            "POST",
            STORE,
            r#"[{"key":"a||b","value":1}]"#,
            400,
            malformed,
        ),
        ("POST", STORE, r#"[{"key":"","value":1}]"#, 400, malformed),
        ("GET", "/v1.0/state/statestore/a%7C%7Cb", "", 400, malformed),
        (
            "POST",
            "/v1.0/state/none",
            "[]",
            400,
            "ERR_STATE_STORE_NOT_FOUND",
        ),
        (
            "GET",
            "/v1.0/state/none/k",
            "",
            400,
            "ERR_STATE_STORE_NOT_FOUND",
        ),
        ("POST", &transaction, "nonsense", 400, malformed),
        (
            "POST",
            "/v1.0/publish/none/t",
            "1",
            404,
            "ERR_PUBSUB_NOT_FOUND",
        ),
        (
            "POST",
            "/v1.0/publish/pubsub/",
            "1",
            404,
            "ERR_TOPIC_NAME_EMPTY",
        ),
        (
            "POST",
            "/v1.0/bindings/none",
            r#"{"operation":"get"}"#,
            500,
            "ERR_INVOKE_OUTPUT_BINDING",
        ),
        (
            "GET",
            "/v1.0/secrets/none/k",
            "",
            401,
            "ERR_SECRET_STORE_NOT_FOUND",
        ),
        ("POST", "/v1.0-alpha1/lock/lockstore", "{", 400, malformed),
    ] {
        let reply = gateway.call("shop", method, path, body).await;
        assert_eq!(
            (reply.status.as_u16(), reply.json()["errorCode"].as_str()),
            (status, Some(code)),
            "{method} {path} {body}: {}",
            reply.text()
        );
    }
    gateway
        .call("shop", "GET", &format!("{STORE}/k"), "")
        .await
        .is(204);
}

#[tokio::test]
async fn a_job_that_cannot_be_scheduled_is_refused() {
    let gateway = shop().start();
    for job in [
        "{",
        "{}",
        r#"{"schedule":"sometimes"}"#,
        r#"{"schedule":"@every -1s"}"#,
        r#"{"dueTime":"yesterday"}"#,
    ] {
        let reply = gateway.call("shop", "POST", "/v1.0/jobs/j", job).await;
        assert_eq!(reply.status, 400, "{job}: {}", reply.text());
        assert!(reply.json()["errorCode"].is_string(), "{job}");
    }
}

#[tokio::test]
async fn a_value_is_kept_whole_up_to_the_limit_and_refused_beyond() {
    let gateway = shop().start();
    let item = |bytes: usize| json!([{ "key": "k", "value": "x".repeat(bytes) }]).to_string();
    gateway
        .call("shop", "POST", STORE, item(10 << 20))
        .await
        .fails(413, "ERR_BODY_TOO_LARGE");
    gateway
        .call("shop", "GET", &format!("{STORE}/k"), "")
        .await
        .is(204);
    gateway
        .call("shop", "POST", STORE, item(3 << 20))
        .await
        .is(204);
    let kept = gateway
        .call("shop", "GET", &format!("{STORE}/k"), "")
        .await
        .is(200);
    assert_eq!(kept.body.len(), (3 << 20) + 2);
    let event = "x".repeat(10 << 20);
    let reply = gateway
        .call("shop", "POST", "/v1.0/publish/pubsub/t", event)
        .await;
    assert_eq!(reply.status, 413);
}

#[tokio::test]
async fn a_subscriber_that_traps_every_time_ends_in_the_dead_letter_topic_and_disturbs_nobody() {
    let gateway = shop()
        .file("components/all.yaml", FILES)
        .guest_as(
            "breaks",
            "traps_on_deliveries",
            &subscribes("orders", r#","deadLetterTopic":"dead""#),
        )
        .guest_as("beside", "takes_deliveries", &subscribes("orders", ""))
        .guest_as("undertaker", "takes_deliveries", &subscribes("dead", ""))
        .start();
    gateway.ready().await;
    let path = "/v1.0/publish/pubsub/orders?metadata.cloudevent.id=e";
    gateway.call("shop", "POST", path, "x").await.is(204);
    gateway.delivery("beside", "e").await;
    gateway.delivery("undertaker", "e").await;
    gateway
        .wait_for_metric("wasmgate_dapr_queued_events", &[("app_id", "breaks")], 0)
        .await;
    // The first time and two more.
    let labels = [("package", "breaks")];
    let traps = gateway
        .metrics()
        .await
        .sum("wasmgate_guest_traps_total", &labels);
    assert_eq!(traps, 3.0);
}

#[tokio::test]
async fn a_subscriber_that_traps_and_has_no_dead_letter_topic_keeps_its_event_where_an_operator_sees_it()
 {
    let gateway = shop()
        .file("components/all.yaml", FILES)
        .guest_as("breaks", "traps_on_deliveries", &subscribes("orders", ""))
        .start();
    gateway.ready().await;
    let path = "/v1.0/publish/pubsub/orders";
    gateway.call("shop", "POST", path, "x").await.is(204);
    let labels = [
        ("app_id", "breaks"),
        ("topic", "orders"),
        ("state", "parked"),
    ];
    gateway
        .wait_for_metric("wasmgate_dapr_queued_events", &labels, 1)
        .await;
}

#[tokio::test]
async fn a_package_that_does_not_tell_its_subscriptions_keeps_the_gateway_unready_and_nobody_from_serving()
 {
    let gateway = TestGateway::builder()
        .limits("timeout = \"10m\"")
        .guest_with("hangs", "dapr = {}")
        .guest("hello")
        .start();
    assert_eq!(gateway.admin_get("/readyz").await.status, 503);
    assert_eq!(gateway.get("/hello").await.status, 200);
}

/// What `check` and `up` say of these component files.
fn told(files: &[(&str, &str)]) -> String {
    let folder = TempDir::new().unwrap();
    let mut builder = shop();
    for (name, text) in files {
        builder = builder.file(&format!("components/{name}"), text);
    }
    builder.write_to(folder.path());
    let mut told = String::new();
    for command in ["check", "up"] {
        let output = run(folder.path(), &[command]);
        told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(USAGE), "{command}: {told}");
        assert!(!String::from_utf8_lossy(&output.stdout).contains("listening on"));
    }
    told
}

fn component(name: &str, kind: &str, metadata: &str) -> String {
    format!(
        "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {{name: {name}}}\n\
         spec: {{type: {kind}, version: v1, metadata: [{metadata}]}}\n"
    )
}

#[test]
fn mistakes_in_component_files_are_all_told_with_file_and_remedy() {
    let unknown = component("cache", "state.redis", "");
    let nonsense = component("x", "nonsense", "");
    let twice = format!(
        "{}---\n{}",
        component("s", "state.sqlite", ""),
        component("s", "state.sqlite", "")
    );
    let secret = component(
        "t",
        "state.sqlite",
        "{name: keyPrefix, secretKeyRef: {name: a, key: a}}",
    );
    let cron = component("c", "bindings.cron", "{name: schedule, value: sometimes}");
    let told = told(&[
        ("unknown.yaml", &unknown),
        ("nonsense.yaml", &nonsense),
        ("twice.yaml", &twice),
        ("secret.yaml", &secret),
        ("cron.yaml", &cron),
        ("broken.yaml", "kind: [Component"),
    ]);
    for words in [
        ["unknown.yaml", "state.redis", "substitute = true"],
        ["nonsense.yaml", "nonsense", "sidecar"],
        ["twice.yaml", "document 2", "its own name"],
        ["secret.yaml", "keyPrefix", "secret"],
        ["cron.yaml", "schedule", "sometimes"],
        ["broken.yaml", "document 1", ""],
    ] {
        for word in words {
            assert!(told.contains(word), "nothing about {word} in:\n{told}");
        }
    }
}

#[test]
fn component_files_that_nobody_uses_are_not_read() {
    let folder = TempDir::new().unwrap();
    let builder = TestGateway::builder()
        .guest("hello")
        .file("components/x.yaml", "kind: [Component");
    builder.write_to(folder.path());
    assert_eq!(run(folder.path(), &["check"]).status.code(), Some(0));
}

/// What `up` says of a database file, which it is to leave alone.
fn refused(database: &[u8]) -> String {
    let folder = TempDir::new().unwrap();
    shop().write_to(folder.path());
    let file = folder.path().join(".wasmgate/dapr.db");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, database).unwrap();
    let output = run(folder.path(), &["up"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(IO_ERROR), "{told}");
    assert_eq!(std::fs::read(&file).unwrap(), database, "it is changed");
    assert!(told.contains(".wasmgate/dapr.db"), "{told}");
    told
}

#[test]
fn a_database_that_is_none_is_refused_by_its_name_and_left_alone() {
    let told = refused("this is no database".repeat(1000).as_bytes());
    assert!(told.contains("move the file away"), "{told}");
}

#[tokio::test]
async fn a_database_that_is_damaged_is_refused_by_its_name_and_left_alone() {
    let folder = TempDir::new().unwrap();
    let mut gateway = shop().start_in(folder.path());
    let item = r#"[{"key":"k","value":1}]"#;
    gateway.call("shop", "POST", STORE, item).await.is(204);
    gateway.signal(crate::harness::Signal::Terminate);
    gateway.ended().await;
    let mut database = std::fs::read(folder.path().join(".wasmgate/dapr.db")).unwrap();
    database[16..4096].fill(0xff);
    refused(&database);
}

#[test]
fn a_second_gateway_on_the_same_data_is_refused() {
    let folder = TempDir::new().unwrap();
    let _first = shop().start_in(folder.path());
    let output = run(folder.path(), &["up"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(IO_ERROR), "{told}");
    assert!(told.contains("in use by another process"), "{told}");
}
