//! `wasi:keyvalue`: other people's components keep keys in a state store, if their package names it.

mod beside;
mod grants;
mod limits;
pub(crate) mod versions;

use futures_util::future::join_all;
use serde_json::{Value, json};
use wasmgate_real_dapr::Place;

use crate::{
    dapr_sidecar::{SIDECAR, beside, sidecar},
    harness::{Builder, TestGateway, run},
};

const VERSIONS: [&str; 2] = ["0.2.0-draft", "0.2.0-draft2"];

fn keeper(lines: &str) -> Builder {
    TestGateway::builder().guest_as("keeper", "keeps_keys", lines)
}

/// What the guest says of what it was asked to do.
async fn told(gateway: &TestGateway, ask: Value) -> Value {
    gateway
        .post("/keeper", ask.to_string())
        .await
        .is(200)
        .json()
}

/// The same for a bucket `default`, which must go well.
async fn ask(gateway: &TestGateway, version: &str, mut ask: Value) -> Value {
    ask["version"] = json!(version);
    if ask["bucket"].is_null() {
        ask["bucket"] = json!("default");
    }
    let mut told = told(gateway, ask.clone()).await;
    assert!(told["error"].is_null(), "{ask}: {told}");
    told["ok"].take()
}

fn bytes(text: &str) -> Value {
    json!(text.as_bytes())
}

const GRANTED: &str = r#"keyvalue = { default = "statestore" }
    dapr = { state = ["statestore"] }"#;

#[tokio::test]
async fn any_bytes_come_back_under_any_key_in_both_versions() {
    let gateway = keeper(GRANTED).start();
    let binary: Vec<u8> = (0..=255).collect();
    for version in VERSIONS {
        for key in ["a", "a/b c", "a/..b", "%2F", "ü+?#&", "a\"\\\n"] {
            for value in [
                &b""[..],
                b"text",
                b" {\"b\": 1, \"a\":\t2}",
                b"{\"b\": 1, \"a\":\t2.50}",
                b"null",
                b"\"x\"",
                &binary,
            ] {
                let set = json!({"do": "set", "key": key, "value": value});
                ask(&gateway, version, set).await;
                let got = ask(&gateway, version, json!({"do": "get", "key": key})).await;
                assert_eq!(got, json!(value), "{version} {key}");
            }
            let exists = || ask(&gateway, version, json!({"do": "exists", "key": key}));
            assert_eq!(exists().await, true);
            ask(&gateway, version, json!({"do": "delete", "key": key})).await;
            assert_eq!(exists().await, false);
            ask(&gateway, version, json!({"do": "delete", "key": key})).await;
            let gone = ask(&gateway, version, json!({"do": "get", "key": key})).await;
            assert_eq!(gone, Value::Null);
        }
    }
}

#[tokio::test]
async fn what_a_guest_keeps_is_the_package_s_state_to_dapr_s_clients() {
    let gateway = keeper(GRANTED)
        .guest_as("shop", "calls_dapr", r#"dapr = { state = ["statestore"] }"#)
        .guest_as("both", "calls_dapr", GRANTED)
        .start();
    for (value, kept) in [
        ("{\"cups\": 2}", "{\"cups\": 2}"),
        ("milk", "\"milk\""),
        ("7", "7"),
    ] {
        let set = json!({"do": "set", "key": "k", "value": bytes(value)});
        ask(&gateway, VERSIONS[1], set).await;
        let mut seen = Vec::new();
        for package in ["shop", "both"] {
            let reply = gateway
                .call(package, "GET", "/v1.0/state/statestore/k", "")
                .await;
            seen.push(reply.status.as_u16());
        }
        // Other packages' keys are other keys.
        assert_eq!(seen, [204, 204], "{kept}");
    }
    // One package by both ways: the guest that calls the API under this name sees what the other kept.
    let folder = tempfile::tempdir().unwrap();
    let first = keeper(GRANTED).start_in(folder.path());
    for (key, value) in [
        ("object", "{\"cups\": 2}"),
        ("text", "milk"),
        ("number", "7"),
    ] {
        let set = json!({"do": "set", "key": key, "value": bytes(value)});
        ask(&first, VERSIONS[1], set).await;
    }
    drop(first);
    let second = TestGateway::builder()
        .guest_as(
            "keeper",
            "calls_dapr",
            r#"dapr = { state = ["statestore"] }"#,
        )
        .start_in(folder.path());
    for (key, kept) in [
        ("object", "{\"cups\": 2}"),
        ("text", "\"milk\""),
        ("number", "7"),
    ] {
        let path = format!("/v1.0/state/statestore/{key}");
        let reply = second.call("keeper", "GET", &path, "").await.is(200);
        assert_eq!(reply.text(), kept);
    }
    let text = r#"[{"key":"text","value":"cream"}]"#;
    second
        .call("keeper", "POST", "/v1.0/state/statestore", text)
        .await
        .is(204);
    drop(second);
    let third = keeper(GRANTED).start_in(folder.path());
    let got = ask(&third, VERSIONS[0], json!({"do": "get", "key": "text"})).await;
    assert_eq!(got, bytes("cream"));
}

#[tokio::test]
async fn all_keys_are_listed_by_pages_while_some_are_deleted() {
    let gateway = keeper(GRANTED)
        .guest_as("other", "keeps_keys", GRANTED)
        .start();
    let name = |at: usize| format!("k{at:04}");
    let items: Vec<_> = (0..2_500).map(|at| json!([name(at), []])).collect();
    ask(
        &gateway,
        VERSIONS[0],
        json!({"do": "set-many", "items": items}),
    )
    .await;
    for version in VERSIONS {
        let (mut keys, mut cursor, mut pages) = (Vec::new(), Value::Null, 0);
        loop {
            let page = ask(&gateway, version, json!({"do": "list", "cursor": cursor})).await;
            keys.extend(page["keys"].as_array().unwrap().clone());
            pages += 1;
            cursor = page["cursor"].clone();
            if cursor.is_null() {
                break;
            }
            // What is listed already goes away meanwhile, the last of it too, and comes back as a new key.
            let gone = keys.last().cloned();
            ask(
                &gateway,
                version,
                json!({"do": "delete-many", "keys": [gone]}),
            )
            .await;
            let back = json!({"do": "set", "key": gone, "value": []});
            ask(&gateway, version, back).await;
        }
        keys.sort_by_key(Value::to_string);
        keys.dedup();
        assert_eq!((keys.len(), pages), (2_500, 3), "{version}");
    }
    let wrong = json!({"version": VERSIONS[1], "bucket": "default", "do": "list", "cursor": "x"});
    let error = told(&gateway, wrong).await["error"].to_string();
    assert!(error.contains("the cursor is none"), "{error}");
}

#[tokio::test]
async fn many_keys_are_set_got_and_deleted_at_once() {
    let gateway = keeper(GRANTED).start();
    for (version, got) in [
        (
            VERSIONS[0],
            json!([["a", [1]], null, ["b", [2]], ["a", [1]]]),
        ),
        (
            VERSIONS[1],
            json!([["a", [1]], ["nowhere", null], ["b", [2]], ["a", [1]]]),
        ),
    ] {
        let set = json!({"do": "set-many", "items": [["a", [1]], ["b", [2]], ["c", [3]]]});
        ask(&gateway, version, set).await;
        let keys = json!(["a", "nowhere", "b", "a"]);
        let found = ask(&gateway, version, json!({"do": "get-many", "keys": keys})).await;
        assert_eq!(found, got);
        let delete = json!({"do": "delete-many", "keys": ["a", "nowhere", "b"]});
        ask(&gateway, version, delete).await;
        let left = ask(&gateway, version, json!({"do": "list"})).await;
        assert_eq!(left["keys"], json!(["c"]));
        for many in ["get-many", "set-many", "delete-many"] {
            ask(&gateway, version, json!({"do": many})).await;
        }
    }
}

#[tokio::test]
async fn a_component_of_the_older_second_draft_is_answered_in_its_shape() {
    let lines = r#"keyvalue = { default = "statestore" }"#;
    let gateway = TestGateway::builder()
        .guest_with("gets_many_as_once", lines)
        .start();
    let reply = gateway.get("/gets-many-as-once?key=k").await.is(200);
    assert_eq!(
        reply.text(),
        "Ok([Some((\"k\", [104, 101, 114, 101])), None])"
    );
}
