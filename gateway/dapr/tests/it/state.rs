//! State scenarios.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::{Apps, World, eventually, unique};

fn apps() -> Apps {
    Apps::default()
}

crate::scenarios!(
    a_saved_value_is_read_back_verbatim_with_an_etag,
    a_missing_key_is_204,
    a_deleted_key_is_gone,
    a_stale_etag_is_409_and_changes_nothing,
    first_write_without_an_etag_fails_if_the_key_exists,
    a_value_with_a_ttl_expires,
    bulk_get_answers_for_every_key,
    a_failed_transaction_applies_nothing,
    a_transaction_upserts_and_deletes,
    keys_and_bodies_that_make_no_sense_are_refused,
    a_key_that_no_path_can_name_is_kept_for_those_who_name_it_in_a_body,
    names_of_members_are_read_without_regard_to_case_and_the_last_counts,
    sixty_four_writers_count_exactly,
);

const STORE: &str = "/v1.0/state/statestore";

async fn save(world: &World, item: Value) -> u16 {
    world
        .call("POST", STORE, json!([item]).to_string())
        .await
        .status
}

async fn a_saved_value_is_read_back_verbatim_with_an_etag(world: &World) {
    let key = unique("k");
    assert_eq!(
        save(world, json!({"key": key, "value": {"a": [1, "ü"]}})).await,
        204
    );
    let first = world.call("GET", &format!("{STORE}/{key}"), "").await;
    assert_eq!((first.status, first.json()), (200, json!({"a": [1, "ü"]})));
    assert!(!first.header("etag").is_empty());
    save(world, json!({"key": key, "value": 2})).await;
    let second = world.call("GET", &format!("{STORE}/{key}"), "").await;
    assert_ne!(first.header("etag"), second.header("etag"));
}

async fn names_of_members_are_read_without_regard_to_case_and_the_last_counts(world: &World) {
    let (saved, other, upserted) = (unique("s"), unique("o"), unique("u"));
    let items = format!(r#"[{{"key":"{other}","KEY":"{saved}","Value":1,"METADATA":null,"x":1}}]"#);
    assert_eq!(world.call("POST", STORE, items).await.status, 204);
    let operation = format!(r#"{{"OPERATION":"upsert","Request":{{"Key":"{upserted}","VALUE":2,"Options":null}}}}"#);
    let transaction = format!(r#"{{"Operations":[{operation}]}}"#);
    let path = format!("{STORE}/transaction");
    assert_eq!(world.call("POST", &path, transaction).await.status, 204);
    let keys = format!(r#"{{"keys":[],"Keys":["{saved}","{other}","{upserted}"]}}"#);
    let found = world.call("POST", &format!("{STORE}/bulk"), keys).await;
    let found = found.json();
    let data = |key: &str| {
        let mut entries = found.as_array().unwrap().iter();
        entries.find(|entry| entry["key"] == *key).unwrap()["data"].clone()
    };
    assert_eq!((data(&saved), data(&upserted)), (json!(1), json!(2)));
    assert_eq!(data(&other), Value::Null);
}

async fn a_missing_key_is_204(world: &World) {
    let answer = world
        .call("GET", &format!("{STORE}/{}", unique("none")), "")
        .await;
    assert_eq!((answer.status, answer.body.len()), (204, 0));
}

async fn a_deleted_key_is_gone(world: &World) {
    let key = unique("k");
    save(world, json!({"key": key, "value": 1})).await;
    assert_eq!(
        world
            .call("DELETE", &format!("{STORE}/{key}"), "")
            .await
            .status,
        204
    );
    assert_eq!(
        world
            .call("GET", &format!("{STORE}/{key}"), "")
            .await
            .status,
        204
    );
    assert_eq!(
        world
            .call("DELETE", &format!("{STORE}/{key}"), "")
            .await
            .status,
        204
    );
}

async fn a_stale_etag_is_409_and_changes_nothing(world: &World) {
    let (key, path) = (unique("k"), STORE);
    save(world, json!({"key": key, "value": 1})).await;
    let etag = world
        .call("GET", &format!("{path}/{key}"), "")
        .await
        .header("etag")
        .to_owned();
    assert_eq!(
        save(world, json!({"key": key, "value": 2, "etag": etag})).await,
        204
    );
    let stale = json!([{"key": key, "value": 3, "etag": etag}]).to_string();
    world
        .call("POST", path, stale)
        .await
        .fails(409, "ERR_STATE_SAVE");
    let headers = [("if-match", etag.as_str())];
    let deleted = world
        .call_with("DELETE", &format!("{path}/{key}"), &headers, "")
        .await;
    deleted.fails(409, "ERR_STATE_DELETE");
    assert_eq!(
        world.call("GET", &format!("{path}/{key}"), "").await.json(),
        2
    );
}

async fn first_write_without_an_etag_fails_if_the_key_exists(world: &World) {
    let key = unique("k");
    let item = json!({"key": key, "value": 1, "options": {"concurrency": "first-write"}});
    assert_eq!(save(world, item.clone()).await, 204);
    // PostgreSQL beside Dapr fails with words of its own, which the SDK knows.
    let conflict = if world.is_beside_dapr() { 500 } else { 409 };
    assert_eq!(save(world, item).await, conflict);
}

async fn a_value_with_a_ttl_expires(world: &World) {
    let key = unique("k");
    save(
        world,
        json!({"key": key, "value": 1, "metadata": {"ttlInSeconds": "3"}}),
    )
    .await;
    let path = format!("{STORE}/{key}");
    assert!(
        !world
            .call("GET", &path, "")
            .await
            .header("metadata.ttlexpiretime")
            .is_empty()
    );
    eventually("the value expires", || async {
        world.call("GET", &path, "").await.status == 204
    })
    .await;
    // Nor does first-write see what has expired.
    let again = json!({"key": key, "value": 2, "options": {"concurrency": "first-write"}});
    assert_eq!(save(world, again).await, 204);
}

async fn bulk_get_answers_for_every_key(world: &World) {
    let (here, gone) = (unique("here"), unique("gone"));
    save(world, json!({"key": here, "value": {"n": 1}})).await;
    let body = json!({"keys": [here, gone], "parallelism": 2}).to_string();
    let answer = world
        .call("POST", &format!("{STORE}/bulk"), body)
        .await
        .json();
    let entries = answer.as_array().unwrap();
    let entry = |key: &str| entries.iter().find(|entry| entry["key"] == key).unwrap();
    assert_eq!(entry(&here)["data"], json!({"n": 1}));
    assert!(entry(&here)["etag"].is_string());
    assert!(entry(&gone).get("data").is_none());
}

async fn a_failed_transaction_applies_nothing(world: &World) {
    let (first, last) = (unique("a"), unique("b"));
    save(world, json!({"key": last, "value": 1})).await;
    let body = json!({"operations": [
        {"operation": "upsert", "request": {"key": first, "value": 1}},
        {"operation": "upsert", "request": {"key": last, "value": 2, "etag": "1000000000"}},
    ]});
    let answer = world
        .call("POST", &format!("{STORE}/transaction"), body.to_string())
        .await;
    answer.fails(500, "ERR_STATE_TRANSACTION");
    assert_eq!(
        world
            .call("GET", &format!("{STORE}/{first}"), "")
            .await
            .status,
        204
    );
    assert_eq!(
        world
            .call("GET", &format!("{STORE}/{last}"), "")
            .await
            .json(),
        1
    );
}

async fn a_transaction_upserts_and_deletes(world: &World) {
    let (stays, goes) = (unique("a"), unique("b"));
    save(world, json!({"key": goes, "value": 1})).await;
    let body = json!({"operations": [
        {"operation": "upsert", "request": {"key": stays, "value": "x"}},
        {"operation": "delete", "request": {"key": goes}},
    ]});
    let path = format!("{STORE}/transaction?metadata.ttlInSeconds=600");
    let answer = world.call("POST", &path, body.to_string()).await;
    assert_eq!(answer.status, 204);
    let stays = world.call("GET", &format!("{STORE}/{stays}"), "").await;
    assert_eq!(stays.json(), "x");
    assert!(!stays.header("metadata.ttlexpiretime").is_empty());
    assert_eq!(
        world
            .call("GET", &format!("{STORE}/{goes}"), "")
            .await
            .status,
        204
    );
}

async fn keys_and_bodies_that_make_no_sense_are_refused(world: &World) {
    world
        .call("POST", STORE, "{")
        .await
        .fails(400, "ERR_MALFORMED_REQUEST");
    world
        .call("GET", "/v1.0/state/nosuch/k", "")
        .await
        .fails(400, "ERR_STATE_STORE_NOT_FOUND");
    let piped = json!([{"key": "a||b", "value": 1}]).to_string();
    assert_eq!(world.call("POST", STORE, piped).await.status, 400);
    let wrong = json!([{"key": unique("k"), "value": 1, "etag": "not-an-etag"}]).to_string();
    world
        .call("POST", STORE, wrong)
        .await
        .fails(409, "ERR_STATE_SAVE");
    let odd = json!([{"key": "k", "value": 1, "options": {"concurrency": "odd"}}]).to_string();
    world
        .call("POST", STORE, odd)
        .await
        .fails(500, "ERR_STATE_SAVE");
    // Which stores of Dapr's own heed on a save alone.
    if !world.is_beside_dapr() {
        world
            .call("DELETE", &format!("{STORE}/k?consistency=odd"), "")
            .await
            .fails(500, "ERR_STATE_DELETE");
    }
    let ttl = json!([{"key": "k", "value": 1, "metadata": {"ttlInSeconds": "soon"}}]).to_string();
    world
        .call("POST", STORE, ttl)
        .await
        .fails(500, "ERR_STATE_SAVE");
    let none = world.call("POST", &format!("{STORE}/bulk"), "{}").await;
    assert_eq!((none.status, none.json()), (200, json!([])));
}

/// As a sidecar has it, which cleans such a path and is somewhere else.
async fn a_key_that_no_path_can_name_is_kept_for_those_who_name_it_in_a_body(world: &World) {
    let mut keys = vec![".", "..", "a/../b"];
    // PostgreSQL has no text with NUL.
    if !world.is_beside_dapr() {
        keys.push("n\0l");
    }
    let items: Vec<_> = keys
        .iter()
        .map(|key| json!({"key": key, "value": *key}))
        .collect();
    let saved = world.call("POST", STORE, json!(items).to_string()).await;
    assert_eq!(saved.status, 204);
    let found = async || {
        let path = format!("{STORE}/bulk");
        let found = world.call("POST", &path, json!({"keys": keys}).to_string());
        let found = found.await.json();
        let mut data: Vec<_> = found
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| (entry["key"].clone(), entry["data"].clone()))
            .collect();
        data.sort_by_key(|(key, _)| key.to_string());
        data
    };
    let mut expected: Vec<_> = keys.iter().map(|key| (json!(key), json!(key))).collect();
    expected.sort_by_key(|(key, _)| key.to_string());
    assert_eq!(found().await, expected);
    for path in ["%2E", "%2e%2e", "a%2F..%2Fb", "n%00l"] {
        for method in ["GET", "DELETE"] {
            let answer = world.call(method, &format!("{STORE}/{path}"), "").await;
            assert_eq!(answer.status, 400, "{method} {path}");
            assert!(
                String::from_utf8_lossy(&answer.body).contains("no `.`, `..` or NUL"),
                "{path}"
            );
        }
    }
    assert_eq!(found().await, expected, "nothing was deleted");
    let deletes: Vec<_> = keys
        .iter()
        .map(|key| json!({"operation": "delete", "request": {"key": key}}))
        .collect();
    let transaction = json!({"operations": deletes}).to_string();
    let path = format!("{STORE}/transaction");
    let deleted = world.call("POST", &path, transaction);
    assert_eq!(deleted.await.status, 204);
    assert!(found().await.iter().all(|(_, data)| data.is_null()));
}

async fn sixty_four_writers_count_exactly(world: &World) {
    const WRITERS: usize = 64;
    const EACH: usize = 4;
    let key = Arc::new(unique("counter"));
    save(world, json!({"key": *key, "value": 0})).await;
    let path = format!("{STORE}/{key}");
    let count = || async {
        for _ in 0..EACH {
            loop {
                let read = world.call("GET", &path, "").await;
                let next = read.json().as_u64().unwrap() + 1;
                let item = json!({"key": *key, "value": next, "etag": read.header("etag"),
                                  "options": {"concurrency": "first-write"}});
                match save(world, item).await {
                    204 => break,
                    409 => {}
                    other => panic!("{other}"),
                }
            }
        }
    };
    futures_util::future::join_all((0..WRITERS).map(|_| count())).await;
    assert_eq!(world.call("GET", &path, "").await.json(), WRITERS * EACH);
}

#[tokio::test]
async fn ten_mebibytes_are_413_and_the_next_call_works() {
    let world = World::in_process(apps()).await;
    let value = "x".repeat(10 * 1024 * 1024);
    let answer = world
        .call(
            "POST",
            STORE,
            json!([{"key": "k", "value": value}]).to_string(),
        )
        .await;
    answer.fails(413, "ERR_BODY_TOO_LARGE");
    assert_eq!(save(&world, json!({"key": "k", "value": 1})).await, 204);
}

#[tokio::test]
async fn an_empty_key_is_refused() {
    let world = World::in_process(apps()).await;
    assert_eq!(save(&world, json!({"key": "", "value": 1})).await, 400);
}

#[tokio::test]
async fn apps_do_not_see_each_others_keys() {
    let world = World::in_process(apps()).await;
    save(&world, json!({"key": "k", "value": 1})).await;
    let all = wasmgate_dapr::Grants::all();
    let other = world
        .call_as("other", &all, "GET", &format!("{STORE}/k"), "")
        .await;
    assert_eq!(other.status, 204);
}

#[tokio::test]
async fn queries_filter_sort_and_page() {
    let world = World::in_process(apps()).await;
    for (key, city, age) in [
        ("1", "Rome", 30),
        ("2", "Oslo", 20),
        ("3", "Rome", 10),
        ("4", "Bonn", 40),
    ] {
        let value = json!({"person": {"city": city}, "age": age, "on": true});
        save(&world, json!({"key": key, "value": value})).await;
    }
    let query = |body: Value| {
        let world = &world;
        async move {
            let path = "/v1.0-alpha1/state/statestore/query";
            world.call("POST", path, body.to_string()).await.json()
        }
    };
    let keys = |answer: &Value| -> Vec<String> {
        let results = answer["results"].as_array().unwrap();
        results
            .iter()
            .map(|result| result["key"].as_str().unwrap().to_owned())
            .collect()
    };
    let romans = query(json!({"filter": {"EQ": {"person.city": "Rome"}},
                              "sort": [{"key": "age", "order": "ASC"}]}))
    .await;
    assert_eq!(keys(&romans), ["3", "1"]);
    let some = query(json!({"filter": {"OR": [
        {"IN": {"person.city": ["Oslo", "Bonn"]}},
        {"AND": [{"EQ": {"age": 10}}, {"EQ": {"on": true}}]},
    ]}}))
    .await;
    assert_eq!(keys(&some), ["2", "3", "4"]);
    let first = query(json!({"page": {"limit": 3}})).await;
    assert_eq!(keys(&first).len(), 3);
    let second = query(json!({"page": {"limit": 3, "token": first["token"]}})).await;
    assert_eq!(
        (keys(&second), second.get("token")),
        (vec!["4".to_owned()], None)
    );
    let most = query(json!({"FILTER": null, "Sort": null, "Page": {"LIMIT": 0, "Token": null}})).await;
    assert_eq!(keys(&most).len(), 4);
    let nobody = json!({"filter": {"EQ": {"person.city": "Lima"}}}).to_string();
    let path = "/v1.0-alpha1/state/statestore/query";
    assert_eq!(world.call("POST", path, nobody).await.status, 204);
    let wrong = query(json!({"filter": {"LIKE": {"a": 1}}})).await;
    assert_eq!(wrong["errorCode"], "ERR_MALFORMED_REQUEST");
}
