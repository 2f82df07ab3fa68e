//! Parked events in an operator's hands: by the admin listener and by the command.

use http::Request;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Builder, Reply, TestGateway, command, full, output_of, send_to, until};

/// A shop whose kitchen is this guest, with one topic of its own.
fn shop(kitchen: &str) -> Builder {
    TestGateway::builder()
        .retries(1)
        .guest_as(
            "shop",
            "calls_dapr",
            r#"dapr = { state = ["statestore"], publish = ["pubsub/*"] }"#,
        )
        .subscriber("kitchen", kitchen, "orders")
        .subscriber("bar", "traps_on_deliveries", "drinks")
}

/// A gateway with an order and a drink that nobody could take.
async fn stuck(folder: &TempDir) -> TestGateway {
    let gateway = shop("traps_on_deliveries").start_in(folder.path());
    gateway.ready().await;
    for topic in ["orders", "drinks"] {
        let path = format!("/v1.0/publish/pubsub/{topic}?metadata.cloudevent.id=of-{topic}");
        gateway.call("shop", "POST", &path, "1").await.is(204);
    }
    let labels = [("state", "parked")];
    gateway
        .wait_for_metric("wasmgate_dapr_queued_events", &labels, 2)
        .await;
    gateway
}

/// An order to the admin listener as a client on this machine sends it, with other headers.
async fn order(gateway: &TestGateway, what: &str, body: &Value, headers: &[(&str, &str)]) -> Reply {
    let mut request = Request::post(format!("/parked/{what}"))
        .header("host", gateway.admin.to_string())
        .header("content-type", "application/json");
    for (name, value) in headers {
        request.headers_mut().unwrap().remove(*name);
        request = request.header(*name, *value);
    }
    send_to(gateway.admin, request.body(full(body.to_string())).unwrap()).await
}

async fn listed(gateway: &TestGateway, query: &str) -> Vec<Value> {
    let reply = gateway.admin_get(&format!("/parked{query}")).await;
    reply.is(200).json().as_array().unwrap().clone()
}

#[tokio::test]
async fn parked_events_are_listed_released_and_dropped_by_package_and_topic() {
    let folder = TempDir::new().unwrap();
    let gateway = stuck(&folder).await;
    assert_eq!(listed(&gateway, "").await.len(), 2);
    let orders = listed(&gateway, "?package=kitchen&topic=orders").await;
    assert_eq!(orders.len(), 1);
    assert_eq!(
        (
            &orders[0]["event_id"],
            &orders[0]["state"],
            &orders[0]["attempts"]
        ),
        (&json!("of-orders"), &json!("parked"), &json!(2))
    );
    let queues = gateway.admin_get("/queues").await.is(200).json();
    let kitchen = queues.as_array().unwrap().iter();
    let kitchen: Vec<_> = kitchen
        .filter(|queue| queue["appId"] == "kitchen")
        .collect();
    assert_eq!(kitchen[0]["parked"], 1, "{queues}");

    let dropped = order(&gateway, "drop", &json!({"topic": "drinks"}), &[]).await;
    assert_eq!(dropped.is(200).json(), json!({"dropped": 1}));
    // It fails as before, and is parked again.
    let released = order(&gateway, "release", &json!({"package": "kitchen"}), &[]).await;
    assert_eq!(released.is(200).json(), json!({"released": 1}));
    let parked = [("package", "kitchen"), ("result", "parked")];
    gateway
        .wait_for_metric("wasmgate_deliveries_total", &parked, 2)
        .await;
    until("one that is parked", || async {
        listed(&gateway, "").await.len() == 1
    })
    .await;
}

#[tokio::test]
async fn everything_is_dropped_only_when_that_is_said() {
    let folder = TempDir::new().unwrap();
    let gateway = stuck(&folder).await;
    assert_eq!(order(&gateway, "drop", &json!({}), &[]).await.status, 400);
    let typo = json!({"pakage": "kitchen"});
    assert_eq!(order(&gateway, "drop", &typo, &[]).await.status, 400);
    assert_eq!(listed(&gateway, "").await.len(), 2);
    let dropped = order(&gateway, "drop", &json!({"all": true}), &[]).await;
    assert_eq!(dropped.is(200).json(), json!({"dropped": 2}));
}

#[tokio::test]
async fn the_log_says_that_an_event_is_parked_and_under_which_number() {
    let folder = TempDir::new().unwrap();
    let gateway = stuck(&folder).await;
    gateway
        .wait_for_event(&[
            ("message", "an event is parked"),
            ("app_id", "kitchen"),
            ("topic", "orders"),
        ])
        .await;
    let numbers: Vec<_> = listed(&gateway, "?topic=orders").await;
    let number = numbers[0]["id"].as_i64().unwrap();
    let line = gateway.log();
    let line = line
        .lines()
        .find(|line| line.contains("an event is parked") && line.contains(&format!("\"id\":{number},")));
    assert!(line.is_some(), "{}", gateway.log());
}

#[tokio::test]
async fn a_page_in_a_browser_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let gateway = stuck(&folder).await;
    let all = json!({"all": true});
    for (header, value, status) in [
        ("host", "evil.example:9090", 403),
        ("origin", "http://evil.example", 403),
        ("origin", "null", 403),
        ("content-type", "text/plain", 415),
        ("authorization", "Bearer guessed", 401),
    ] {
        let reply = order(&gateway, "drop", &all, &[(header, value)]).await;
        assert_eq!(reply.status, status, "{header}: {value}");
    }
    assert_eq!(gateway.admin_get("/parked/drop").await.status, 405);
    assert_eq!(listed(&gateway, "").await.len(), 2);
}

#[tokio::test]
async fn the_token_stands_for_being_on_this_machine() {
    let folder = TempDir::new().unwrap();
    let gateway = shop("takes_deliveries")
        .environment("WASMGATE_ADMIN_TOKEN", "sesame")
        .start_in(folder.path());
    let named = ("host", "gateway.example:9090");
    for (token, status) in [("Bearer sesame", 200), ("Bearer sesam", 401)] {
        let headers = [named, ("authorization", token)];
        let reply = order(&gateway, "release", &json!({}), &headers).await;
        assert_eq!(reply.status, status, "{token}");
    }
}

#[tokio::test]
async fn after_a_repair_the_command_lists_and_releases_what_was_parked() {
    let folder = TempDir::new().unwrap();
    drop(stuck(&folder).await);
    let gateway = shop("takes_deliveries").start_in(folder.path());
    gateway.ready().await;
    let wasmgate = |arguments: &[&str]| {
        let admin = gateway.admin.to_string();
        let mut command = command(folder.path(), &["parked"]);
        command.args(arguments).args(["--admin", &admin]);
        let output = output_of(command);
        let told = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(told).unwrap())
    };
    let (code, list) = wasmgate(&["list", "--package", "kitchen"]);
    assert_eq!(code, Some(0), "{list}");
    assert!(
        list.contains("of-orders") && !list.contains("of-drinks"),
        "{list}"
    );
    let (code, told) = wasmgate(&["release", "--package", "kitchen", "--topic", "orders"]);
    assert_eq!((code, told.as_str()), (Some(0), "released: 1"));
    gateway.delivery("kitchen", "of-orders").await;
    let (code, told) = wasmgate(&["drop"]);
    assert_eq!(code, Some(77), "{told}");
    let (code, told) = wasmgate(&["drop", "--all"]);
    assert_eq!((code, told.as_str()), (Some(0), "dropped: 1"));
    let (code, told) = wasmgate(&["list"]);
    assert_eq!((code, told.as_str()), (Some(0), "nothing is parked"));
}

#[test]
fn the_command_says_where_it_looked_for_a_gateway() {
    let folder = TempDir::new().unwrap();
    let mut list = command(folder.path(), &["parked", "list"]);
    list.args(["--admin", "127.0.0.1:1"]);
    let output = output_of(list);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(69), "{told}");
    assert!(
        told.contains("127.0.0.1:1") && told.contains("--admin"),
        "{told}"
    );
}
