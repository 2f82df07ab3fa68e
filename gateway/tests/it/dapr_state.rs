//! State through a guest.

use serde_json::{Value, json};

use crate::{dapr_blocks::shop_and_taker, harness::TestGateway};

#[tokio::test]
async fn state_is_saved_read_replaced_by_etag_and_deleted() {
    state_scenario(&shop_and_taker().start(), "shop").await;
}

#[tokio::test]
async fn a_limit_on_the_size_of_files_fails_what_is_beyond_it_and_ends_nothing() {
    let gateway = shop_and_taker().start();
    let save = async |bytes: usize| {
        let items = json!([{"key": "long", "value": "x".repeat(bytes)}]).to_string();
        gateway
            .call("shop", "POST", "/v1.0/state/statestore", items)
            .await
    };
    save(10).await.is(204);
    let limit = gateway.limit_file_size(Some(4096));
    save(100_000).await.fails(500, "ERR_STATE_SAVE");
    gateway.limit_file_size(limit);
    save(100_000).await.is(204);
}

/// Every operation on state, at whatever end the package's calls arrive.
pub(crate) async fn state_scenario(gateway: &TestGateway, package: &str) {
    const STORE: &str = "/v1.0/state/statestore";
    let run = uuid::Uuid::new_v4().simple().to_string();
    let [one, two, gone] = ["one", "two", "gone"].map(|name| format!("{name}-{run}"));
    let at = |key: &str| format!("{STORE}/{key}");
    let call = async |method: &str, path: &str, body: &Value| {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        gateway.call(package, method, path, body).await
    };
    call("GET", &at(&one), &Value::Null).await.is(204);
    let items = json!([{"key": one, "value": {"n": 1}}, {"key": two, "value": "text"}]);
    call("POST", STORE, &items).await.is(204);
    let read = call("GET", &at(&one), &Value::Null).await.is(200);
    assert_eq!(read.json(), json!({"n": 1}));
    let etag = read.header("etag").unwrap().to_owned();

    let replace =
        |etag: &str| json!([{"key": one, "value": 2, "etag": etag, "options": {"concurrency": "first-write"}}]);
    call("POST", STORE, &replace(&etag)).await.is(204);
    let stale = call("POST", STORE, &replace(&etag)).await;
    stale.fails(409, "ERR_STATE_SAVE");
    let stale = gateway
        .call_with(package, "DELETE", &at(&one), &[("if-match", &etag)], "")
        .await;
    stale.fails(409, "ERR_STATE_DELETE");
    assert_eq!(call("GET", &at(&one), &Value::Null).await.json(), 2);

    let bulk = json!({"keys": [one, two, gone]});
    let bulk = call("POST", &format!("{STORE}/bulk"), &bulk)
        .await
        .is(200)
        .json();
    let found = |key: &str| {
        let items = bulk.as_array().unwrap();
        items
            .iter()
            .find(|item| item["key"] == key)
            .cloned()
            .unwrap_or_default()
    };
    assert_eq!(
        (&found(&one)["data"], &found(&two)["data"]),
        (&json!(2), &json!("text"))
    );
    assert!(
        found(&gone).get("data").is_none_or(Value::is_null),
        "{bulk}"
    );

    let transaction = json!({"operations": [
        {"operation": "upsert", "request": {"key": gone, "value": true}},
        {"operation": "delete", "request": {"key": two}},
    ]});
    call("POST", &format!("{STORE}/transaction"), &transaction)
        .await
        .is(204);
    assert_eq!(call("GET", &at(&gone), &Value::Null).await.json(), true);
    call("GET", &at(&two), &Value::Null).await.is(204);

    let failing = json!({"operations": [
        {"operation": "upsert", "request": {"key": two, "value": 3}},
        {"operation": "upsert", "request": {"key": one, "value": 3, "etag": etag, "options": {"concurrency": "first-write"}}},
    ]});
    call("POST", &format!("{STORE}/transaction"), &failing)
        .await
        .fails(500, "ERR_STATE_TRANSACTION");
    call("GET", &at(&two), &Value::Null).await.is(204);
    assert_eq!(call("GET", &at(&one), &Value::Null).await.json(), 2);

    for key in [&one, &two, &gone] {
        call("DELETE", &at(key), &Value::Null).await.is(204);
    }
}

#[tokio::test]
async fn packages_do_not_see_each_others_state() {
    let gateway = shop_and_taker().start();
    gateway
        .call(
            "shop",
            "POST",
            "/v1.0/state/statestore",
            r#"[{"key":"k","value":1}]"#,
        )
        .await
        .is(204);
    gateway
        .call("taker", "GET", "/v1.0/state/statestore/k", "")
        .await
        .is(204);
}
