//! What a client may order, and what it is told.

use super::*;

#[test]
fn an_order_keeps_names_and_prices_and_says_what_it_is() {
    let dapr = shop();
    let id = place(&dapr, &order(&[5], &[8]));
    let shown = dapr.call("counter-api", Request::get(format!("/v1/api/orders/{id}")));
    let shown: Value = shown.json();
    assert_eq!(shown["id"], id.as_str());
    assert_eq!(
        (&shown["orderSource"], &shown["location"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(shown["total"], 7.5);
    assert_eq!(shown["itemLines"][0]["name"], "LATTE");
    assert_eq!(shown["itemLines"][1]["price"], 3.0);
    assert_eq!(shown["itemLines"][1]["itemStatus"], 0);
}

#[test]
fn a_bad_order_is_refused_with_every_mistake_and_nothing_is_saved() {
    let dapr = shop();
    let mut bad = order(&[5, 99], &[0]);
    bad["location"] = json!(7);
    let reply = dapr.call("counter-api", post(&bad));
    assert_eq!(reply.status(), 400);
    assert_eq!(
        reply.header("content-type"),
        Some("application/problem+json")
    );
    let problem: Value = reply.json();
    let pointers = problem["errors"].as_array().unwrap().iter();
    let pointers: Vec<_> = pointers
        .map(|error| error["pointer"].as_str().unwrap())
        .collect();
    assert_eq!(
        pointers,
        [
            "/location",
            "/baristaItems/1/itemType",
            "/kitchenItems/0/itemType"
        ]
    );
    let refused = [
        (order(&[], &[]).to_string(), 400),
        (order(&[5; 51], &[]).to_string(), 400),
        (
            json!({"orderSource": 2, "baristaItems": [{"itemType": 5}]}).to_string(),
            400,
        ),
        (
            json!({"loyaltyMemberId": "x".repeat(65), "baristaItems": [{"itemType": 5}]}).to_string(),
            400,
        ),
        ("latte".to_owned(), 400),
        (String::new(), 400),
        // JSON of another form than an order's.
        (json!({"baristaItems": [{"itemType": -1}]}).to_string(), 422),
        (json!({"baristaItems": "latte"}).to_string(), 422),
        ("[]".to_owned(), 400),
        ("7".to_owned(), 422),
    ];
    for (body, status) in refused {
        let reply = dapr.call(
            "counter-api",
            Request::post("/v1/api/orders").with_body(body.clone()),
        );
        assert_eq!(reply.status(), status, "{body}");
    }
    assert!(dapr.keys(STORE).is_empty() && dapr.jobs().is_empty());
}

#[test]
fn a_body_that_is_too_long_is_refused() {
    let reply = shop().call(
        "counter-api",
        Request::post("/v1/api/orders").with_body(vec![b' '; 70_000]),
    );
    assert_eq!(reply.status(), 413);
}

#[test]
fn the_same_idempotency_key_is_the_same_order() {
    let dapr = shop();
    let with_key = |key: &str, body: &Value| post(body).with_header("idempotency-key", key);
    let first = id_of(&dapr.call("counter-api", with_key("a||b", &order(&[5], &[]))));
    let again = id_of(&dapr.call("counter-api", with_key("a||b", &order(&[5], &[]))));
    assert_eq!(first, again);
    assert_eq!(order_list(&dapr), [first.as_str()]);
    assert_eq!(
        dapr.published("baristapubsub", "baristaorderplaced").len(),
        1
    );
    let other = id_of(&dapr.call("counter-api", with_key("c", &order(&[5], &[]))));
    assert_ne!(first, other);
    let misused = dapr.call("counter-api", with_key("a||b", &order(&[0], &[])));
    assert_eq!(misused.status(), 422);
    for unfit in ["", "k\u{e9}y", &"x".repeat(129)] {
        assert_eq!(
            dapr.call("counter-api", with_key(unfit, &order(&[5], &[])))
                .status(),
            400
        );
    }
}

#[test]
fn an_order_that_others_are_always_faster_than_may_be_tried_again() {
    let dapr = shop();
    dapr.intercept(|call| {
        let transaction = call.path().ends_with("/transaction");
        let body = json!({"errorCode": "ERR_STATE_TRANSACTION", "message": "etag mismatch"});
        transaction.then(|| Ok(Response::json(&body).with_status(409)))
    });
    let reply = dapr.call("counter-api", post(&order(&[5], &[])));
    assert_eq!(
        (reply.status().as_u16(), reply.header("retry-after")),
        (503, Some("1"))
    );
}

#[test]
fn an_orders_events_tell_each_change_and_end_with_it() {
    let dapr = shop();
    let id = place(&dapr, &order(&[5], &[]));
    dapr.deliver_all();
    let reply = dapr.call(
        "counter-api",
        Request::get(format!("/v1/api/orders/{id}/events")),
    );
    assert_eq!(reply.header("content-type"), Some("text/event-stream"));
    let text = reply.text();
    assert!(text.starts_with("event: order\ndata: {"), "{text}");
    assert_eq!(text.matches("event: order").count(), 1);
    assert!(text.contains("\"orderStatus\":2"));
}

#[test]
fn unknown_orders_are_404() {
    let dapr = shop();
    for id in ["0199d2a0-0000-7000-8000-000000000001", "7", "a||b"] {
        for path in [
            format!("/v1/api/orders/{id}"),
            format!("/v1/api/orders/{id}/events"),
        ] {
            assert_eq!(dapr.call("counter-api", Request::get(path)).status(), 404);
        }
    }
}

#[test]
fn nothing_is_saved_when_the_catalogue_cannot_be_read() {
    let dapr = shop();
    fail_from(&dapr, "/v1.0/invoke", 1);
    assert_eq!(
        dapr.call("counter-api", post(&order(&[5], &[]))).status(),
        504
    );
    assert!(dapr.keys(STORE).is_empty() && dapr.jobs().is_empty());
}
