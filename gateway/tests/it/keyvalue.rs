//! `wasi:keyvalue`: other people's components keep keys in a state store, if their package names it.

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
async fn without_a_grant_every_bucket_is_closed_and_a_name_that_is_not_granted_is_unknown() {
    for (lines, error) in [
        ("", "Error::AccessDenied"),
        (
            r#"dapr = { state = ["statestore"] }"#,
            "Error::AccessDenied",
        ),
        (
            r#"keyvalue = { other = "statestore" }"#,
            "Error::NoSuchStore",
        ),
    ] {
        let gateway = keeper(lines).start();
        for version in VERSIONS {
            for name in ["default", "", "statestore"] {
                let open = json!({"version": version, "do": "open", "bucket": name});
                assert_eq!(
                    told(&gateway, open).await,
                    json!({"error": error}),
                    "{lines}"
                );
            }
        }
        gateway
            .wait_for_event(&[("package", "keeper"), ("bucket", "statestore")])
            .await;
    }
}

#[tokio::test]
async fn a_grant_of_buckets_opens_nothing_of_the_dapr_api() {
    let gateway = TestGateway::builder()
        .guest_as(
            "shop",
            "calls_dapr",
            r#"keyvalue = { default = "statestore" }"#,
        )
        .start();
    let reply = gateway
        .call("shop", "GET", "/v1.0/state/statestore/k", "")
        .await;
    assert_eq!(reply.status, 403, "{}", reply.text());
}

#[tokio::test]
async fn buckets_of_one_store_are_apart_by_their_words() {
    let lines = r#"keyvalue = { default = "statestore/a", users = "statestore/users", all = "statestore" }"#;
    let gateway = keeper(lines).start();
    for version in VERSIONS {
        for bucket in ["default", "users"] {
            let set = json!({"do": "set", "bucket": bucket, "key": "k", "value": bytes(bucket)});
            ask(&gateway, version, set).await;
        }
        for bucket in ["default", "users"] {
            let get = json!({"do": "get", "bucket": bucket, "key": "k"});
            assert_eq!(ask(&gateway, version, get).await, bytes(bucket));
            let list = json!({"do": "list", "bucket": bucket});
            assert_eq!(
                ask(&gateway, version, list).await,
                json!({"keys": ["k"], "cursor": null})
            );
            let many = json!({"do": "get-many", "bucket": bucket, "keys": ["k"]});
            assert_eq!(
                ask(&gateway, version, many).await,
                json!([["k", bucket.as_bytes()]])
            );
        }
        let all = ask(&gateway, version, json!({"do": "list", "bucket": "all"})).await;
        assert_eq!(all["keys"], json!(["a/k", "users/k"]));
    }
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

#[tokio::test]
async fn counters_lose_nothing_when_many_count_at_once() {
    let gateway = keeper(GRANTED).start();
    let counts = (0..40).map(|at| {
        let count = json!({"do": "increment", "key": "n", "delta": 1 + at % 3});
        ask(&gateway, VERSIONS[at % 2], count)
    });
    let mut seen: Vec<_> = join_all(counts)
        .await
        .iter()
        .map(|new| new.as_i64().unwrap())
        .collect();
    let total: i64 = (0..40).map(|at| 1 + at % 3).sum();
    seen.sort_unstable();
    assert_eq!(seen.last(), Some(&total));
    seen.dedup();
    assert_eq!(seen.len(), 40);
    let got = ask(&gateway, VERSIONS[0], json!({"do": "get", "key": "n"})).await;
    assert_eq!(got, bytes(&total.to_string()));
    let down = json!({"do": "increment", "key": "n", "delta": -100});
    assert_eq!(ask(&gateway, VERSIONS[1], down).await, total - 100);
    for (key, value, words) in [
        ("t", "text", "no number"),
        ("l", "9223372036854775807", "too large"),
    ] {
        let set = json!({"do": "set", "key": key, "value": bytes(value)});
        ask(&gateway, VERSIONS[1], set).await;
        let count = json!({"version": VERSIONS[1], "bucket": "default", "do": "increment", "key": key, "delta": 1});
        let error = told(&gateway, count).await["error"].to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_swap_fails_if_another_write_was_faster_and_succeeds_with_the_new_handle() {
    let gateway = keeper(GRANTED).start();
    let swap = |ask_for: Value| ask(&gateway, VERSIONS[1], ask_for);
    let first = swap(json!({"do": "swap", "key": "k", "value": [1]})).await;
    assert_eq!(first, json!({"before": null, "failed": null}));
    let second = swap(json!({"do": "swap", "key": "k", "value": [2]})).await;
    assert_eq!(second, json!({"before": [1], "failed": null}));
    for (key, before) in [("k", json!([2])), ("new", Value::Null)] {
        let third = swap(json!({"do": "swap", "key": key, "value": [3], "between": [9]})).await;
        let failed = json!({"seen": [9], "again": true});
        assert_eq!(third, json!({"before": before, "failed": failed}));
    }
}

/// Counts and swaps in a bucket of the package at `/keeper`, at whatever store it is.
pub(crate) async fn versions_scenario(gateway: &TestGateway, bucket: &str) {
    let ask = |mut asked: Value| {
        asked["bucket"] = json!(bucket);
        ask(gateway, VERSIONS[1], asked)
    };
    let counts = (0..10).map(|_| ask(json!({"do": "increment", "key": "n", "delta": 2})));
    let mut seen: Vec<_> = join_all(counts)
        .await
        .iter()
        .map(|new| new.as_i64())
        .collect();
    seen.sort_unstable();
    let each: Vec<_> = (1..=10).map(|count| Some(count * 2)).collect();
    assert_eq!(seen, each, "{bucket}");
    for (value, before) in [(vec![0, 255], Value::Null), (vec![b'7'], json!([0, 255]))] {
        let swapped = ask(json!({"do": "swap", "key": "k", "value": value})).await;
        assert_eq!(
            swapped,
            json!({"before": before, "failed": null}),
            "{bucket}"
        );
    }
    // Dapr's Redis lets whoever creates a key write over one that came meanwhile and names no version.
    let tried = if bucket == "redis" { 1 } else { 2 };
    for (key, before) in [("k", json!([b'7'])), ("new", Value::Null)]
        .into_iter()
        .take(tried)
    {
        let swapped = ask(json!({"do": "swap", "key": key, "value": [3], "between": [9]})).await;
        let failed = json!({"seen": [9], "again": true});
        assert_eq!(
            swapped,
            json!({"before": before, "failed": failed}),
            "{bucket}"
        );
    }
    for value in [
        "{\"b\": 1, \"a\":\t2.50}",
        "{\"a\":[1]}",
        "12345678901234567890",
        "<&>",
        "",
    ] {
        ask(json!({"do": "set", "key": "v", "value": value.as_bytes()})).await;
        let got = ask(json!({"do": "get", "key": "v"})).await;
        assert_eq!(got, bytes(value), "{bucket}");
        let many = ask(json!({"do": "get-many", "keys": ["v", "nowhere"]})).await;
        assert_eq!(
            many,
            json!([["v", value.as_bytes()], ["nowhere", null]]),
            "{bucket}"
        );
    }
    ask(json!({"do": "delete-many", "keys": ["k", "new", "n", "v", "nowhere"]})).await;
    assert_eq!(ask(json!({"do": "exists", "key": "k"})).await, false);
}

#[tokio::test]
async fn beside_a_sidecar_everything_goes_but_listing_which_is_an_error_in_words() {
    let place = Place::new();
    let address = place.at(SIDECAR);
    let _sidecar = sidecar(address).start();
    let gateway = beside(address)
        .guest_as(
            "keeper",
            "keeps_keys",
            r#"keyvalue = { default = "statestore" }"#,
        )
        .start();
    gateway.ready().await;
    versions_scenario(&gateway, "default").await;
    for version in VERSIONS {
        let list = json!({"version": version, "bucket": "default", "do": "list"});
        let error = told(&gateway, list).await["error"].to_string();
        assert!(
            error.contains("cannot be listed beside a Dapr sidecar"),
            "{error}"
        );
    }
    // The gateway's own word for it, as the guest has it from the Dapr API.
    let labels = [
        ("package", "keeper"),
        ("operation", "list-keys"),
        ("result", "5xx"),
    ];
    gateway
        .wait_for_metric("wasmgate_block_calls_total", &labels, 2)
        .await;
}

#[tokio::test]
async fn without_its_sidecar_a_bucket_is_an_error_and_the_guest_goes_on() {
    let place = Place::new();
    let gateway = beside(place.at(SIDECAR))
        .guest_as(
            "keeper",
            "keeps_keys",
            r#"keyvalue = { default = "statestore" }"#,
        )
        .start();
    for what in ["get", "increment", "swap", "delete-many"] {
        let ask = json!({"bucket": "default", "do": what, "key": "k", "keys": ["k"], "delta": 1});
        let error = told(&gateway, ask).await["error"].to_string();
        assert!(error.contains("sidecar"), "{what}: {error}");
    }
}

#[tokio::test]
async fn what_cannot_be_kept_is_told_in_words_and_harms_nobody() {
    let lines = r#"keyvalue = { default = "statestore", lost = "statstore" }
        dapr = { quotas = { state = "4KiB" } }"#;
    let gateway = keeper(lines).start();
    for (more, words) in [
        (json!({"do": "set", "value": vec![7; 5000]}), "quota"),
        (json!({"do": "get", "key": ""}), "the key is empty"),
        (json!({"do": "get", "key": "a||b"}), "||"),
        (json!({"do": "set", "key": "a/../b"}), "can be no key"),
        (json!({"do": "get", "bucket": "lost"}), "is not found"),
    ] {
        for version in VERSIONS {
            let mut ask = json!({"version": version, "bucket": "default", "key": "k"});
            for (key, value) in more.as_object().unwrap() {
                ask[key] = value.clone();
            }
            let error = told(&gateway, ask).await["error"].to_string();
            assert!(error.contains(words), "{words}: {error}");
        }
    }
    let set = json!({"do": "set", "key": "k", "value": [1]});
    ask(&gateway, VERSIONS[0], set).await;
}

#[tokio::test]
async fn what_is_held_for_a_guest_counts_as_its_memory() {
    let lines = r#"keyvalue = { default = "statestore" }
        limits = { memory = "24MiB" }"#;
    let gateway = keeper(lines).start();
    let large = json!({"do": "set", "key": "k", "value": vec![b'a'; 1 << 20]});
    ask(&gateway, VERSIONS[0], large).await;
    // Every one of them is a copy.
    let keys = vec!["k"; 100];
    let many = json!({"version": VERSIONS[0], "bucket": "default", "do": "get-many", "keys": keys});
    let refused = gateway.post("/keeper", many.to_string()).await.text();
    assert!(
        refused.contains("`limits.memory`") || refused.contains("memory-limit"),
        "{refused}"
    );
    let opened = json!({"version": VERSIONS[0], "bucket": "default", "do": "open-many", "times": 90_000});
    let reply = gateway.post("/keeper", opened.to_string()).await;
    reply.assert_error(502, "memory-limit");
    let get = json!({"do": "exists", "key": "k"});
    assert_eq!(ask(&gateway, VERSIONS[0], get).await, true);
}

#[tokio::test]
async fn calls_are_counted_as_those_of_the_state_block() {
    let gateway = keeper(GRANTED).start();
    ask(
        &gateway,
        VERSIONS[0],
        json!({"do": "set", "key": "k", "value": []}),
    )
    .await;
    ask(&gateway, VERSIONS[0], json!({"do": "list"})).await;
    for operation in ["save", "list-keys"] {
        let labels = [
            ("package", "keeper"),
            ("block", "state"),
            ("operation", operation),
        ];
        gateway
            .wait_for_metric("wasmgate_block_calls_total", &labels, 1)
            .await;
    }
}

#[test]
fn check_tells_of_a_component_whose_buckets_are_all_closed_and_of_a_store_that_is_not_there() {
    for (lines, note) in [
        (
            "",
            "package keeper imports wasi:keyvalue/store@0.2.0-draft and has no `keyvalue`",
        ),
        (
            r#"keyvalue = { default = "statstore" }"#,
            r#"default = "statstore" in its `keyvalue` opens nothing: no state store has this name; did you mean "statestore"?"#,
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        keeper(lines).write_to(folder.path());
        let output = run(folder.path(), &["check"]);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && told.contains(note), "{told}");
    }
    let folder = tempfile::tempdir().unwrap();
    keeper(GRANTED).write_to(folder.path());
    let told = String::from_utf8(run(folder.path(), &["check"]).stdout).unwrap();
    assert!(!told.contains("note:"), "{told}");
}

#[test]
fn a_wrong_grant_is_told_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    keeper(r#"keyvalue = { default = "state*" }"#).write_to(folder.path());
    let output = run(folder.path(), &["check"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        told.contains("package.keeper.keyvalue.default") && told.contains("is no bucket"),
        "{told}"
    );
}
