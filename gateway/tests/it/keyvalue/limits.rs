//! What cannot be kept, what counts as memory, and what is counted.

use super::*;

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
