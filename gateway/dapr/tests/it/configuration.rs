//! Configuration scenarios.

use serde_json::json;
use wasmgate_dapr::Grants;

use crate::harness::{Apps, World, answer};

const STORE: &str = "/v1.0/configuration/configstore";

async fn world(text: &str) -> World {
    let apps = Apps::default();
    apps.set("shop", |received| match received.path.as_str() {
        "/dapr/subscribe" => answer(404, ""),
        _ => answer(200, ""),
    });
    let text = text.to_owned();
    World::with(crate::harness::Kind::InProcess, apps, move |settings| {
        std::fs::create_dir_all(&settings.data).unwrap();
        std::fs::write(settings.data.join("configuration.json"), text).unwrap();
    })
    .await
}

#[tokio::test]
async fn items_are_read_by_key_or_all() {
    let world = world(r#"{"a":"1","b":{"value":"2","version":"v7","metadata":{"x":"y"}}}"#).await;
    let one = world
        .call("GET", &format!("{STORE}?key=b&key=none"), "")
        .await
        .json();
    assert_eq!(
        one,
        json!({"b": {"value": "2", "version": "v7", "metadata": {"x": "y"}}})
    );
    let all = world.call("GET", STORE, "").await.json();
    assert_eq!(
        (all.as_object().unwrap().len(), &all["a"]),
        (2, &json!({"value": "1"}))
    );
    let none = world.call("GET", &format!("{STORE}?key=none"), "").await;
    assert_eq!((none.status, &none.body[..]), (204, &b""[..]));
    let unknown = world
        .call("GET", "/v1.0/configuration/nosuch?key=a", "")
        .await;
    unknown.fails(400, "ERR_CONFIGURATION_STORE_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribers_hear_of_changes_until_they_unsubscribe() {
    let world = world(r#"{"a":"1","b":"1"}"#).await;
    let id = world
        .call("GET", &format!("{STORE}/subscribe?key=a"), "")
        .await
        .json()["id"]
        .clone();
    let file = world.folder.path().join("data/configuration.json");
    std::fs::write(&file, r#"{"a":"two","b":"two"}"#).unwrap();
    let notice = world
        .apps
        .wait("shop", "/configuration/configstore/a", 1)
        .await[0]
        .json();
    assert_eq!(
        (&notice["id"], &notice["items"]["a"]["value"]),
        (&id, &json!("two"))
    );
    assert_eq!(world.apps.count("shop", "/configuration/configstore/b"), 0);
    std::fs::write(&file, r#"{"b":"two"}"#).unwrap();
    let notices = world.apps.wait("shop", "/configuration/configstore/a", 2);
    assert_eq!(notices.await[1].json()["items"], json!({"a": {}}));
    let path = format!("{STORE}/{}/unsubscribe", id.as_str().unwrap());
    assert_eq!(world.call("GET", &path, "").await.json()["ok"], true);
    let again = world.call("GET", &path, "").await;
    assert_eq!((again.status, again.json().get("errorCode")), (500, None));
}

#[tokio::test]
async fn an_app_that_subscribes_without_end_is_refused_and_another_is_not() {
    let world = world(r#"{"a":"1"}"#).await;
    let path = format!("{STORE}/subscribe?key=a");
    let subscribe = async |app: &str| world.call_as(app, &Grants::all(), "GET", &path, "").await;
    let mut first = String::new();
    for _ in 0..100 {
        let id = subscribe("shop").await.json()["id"].clone();
        first = id.as_str().unwrap().to_owned();
    }
    let refused = subscribe("shop").await;
    refused.fails(500, "ERR_CONFIGURATION_SUBSCRIBE");
    assert_eq!(subscribe("other").await.status, 200);
    let path = format!("{STORE}/{first}/unsubscribe");
    assert_eq!(world.call("GET", &path, "").await.status, 200);
    assert_eq!(subscribe("shop").await.status, 200);
}

#[tokio::test]
async fn a_broken_file_is_an_error_that_names_it() {
    let world = world("{").await;
    let answer = world.call("GET", STORE, "").await;
    answer.fails(500, "ERR_CONFIGURATION_GET");
    assert!(
        answer.json()["message"]
            .as_str()
            .unwrap()
            .contains("configuration.json")
    );
}
