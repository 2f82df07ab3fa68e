//! What no call may do: break the runtime.

use crate::harness::{Apps, World};

const CALLS: [(&str, &str); 14] = [
    ("POST", "/v1.0/state/statestore"),
    ("POST", "/v1.0/state/statestore/bulk"),
    ("POST", "/v1.0/state/statestore/transaction"),
    ("POST", "/v1.0-alpha1/state/statestore/query"),
    ("POST", "/v1.0/publish/pubsub/t"),
    ("POST", "/v1.0/publish/bulk/pubsub/t"),
    ("POST", "/v1.0/bindings/nosuch"),
    ("POST", "/v1.0-alpha1/lock/lockstore"),
    ("POST", "/v1.0-alpha1/unlock/lockstore"),
    ("POST", "/v1.0/jobs/j"),
    ("PUT", "/v1.0/metadata/k"),
    ("GET", "/v1.0/configuration/configstore?key=%ff&key"),
    ("GET", "/v1.0/state/statestore/%ff"),
    ("POST", "/v1.0/state//transaction"),
];

#[tokio::test]
async fn nonsense_is_refused_and_the_next_call_works() {
    let world = World::in_process(Apps::default()).await;
    let deep = "[".repeat(100_000);
    let deep_query = format!(
        "{{\"filter\":{}1{}}}",
        "{\"AND\":[".repeat(50),
        "]}".repeat(50)
    );
    let bodies: [&[u8]; 14] = [
        b"",
        b"{",
        b"[]",
        b"{}",
        b"null",
        b"[null]",
        b"\"text\"",
        b"\xff\xfe",
        b"[{\"key\":1}]",
        b"{\"operations\":[{}]}",
        b"{\"filter\":{\"EQ\":{\"a\\\"b\":1}}}",
        b"{\"page\":{\"token\":\"-1\",\"limit\":0}}",
        deep.as_bytes(),
        deep_query.as_bytes(),
    ];
    for (method, path) in CALLS {
        for body in bodies {
            let answer = world.call(method, path, body.to_vec()).await;
            let told = answer.status < 500 || answer.json()["errorCode"].is_string();
            assert!(told, "{method} {path} {}", String::from_utf8_lossy(body));
        }
    }
    assert_eq!(
        world
            .call(
                "POST",
                "/v1.0/state/statestore",
                r#"[{"key":"k","value":1}]"#
            )
            .await
            .status,
        204
    );
    assert_eq!(
        world
            .call("GET", "/v1.0/state/statestore/k", "")
            .await
            .json(),
        1
    );
}

#[tokio::test]
async fn quotes_and_sql_in_keys_and_queries_are_only_text() {
    let world = World::in_process(Apps::default()).await;
    let item = r#"[{"key":"'; DROP TABLE state; --","value":{"a'b":1}}]"#;
    assert_eq!(
        world
            .call("POST", "/v1.0/state/statestore", item)
            .await
            .status,
        204
    );
    let query = r#"{"filter":{"EQ":{"a'b":1}}}"#;
    let found = world
        .call("POST", "/v1.0-alpha1/state/statestore/query", query)
        .await
        .json();
    assert_eq!(found["results"].as_array().unwrap().len(), 1);
    let path = "/v1.0/state/statestore/%27%3B%20DROP%20TABLE%20state%3B%20--";
    assert_eq!(world.call("GET", path, "").await.status, 200);
}
