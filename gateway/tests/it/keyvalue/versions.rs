//! Counting and swapping: no write of another is lost.

use super::*;

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
