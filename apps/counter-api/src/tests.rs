//! The counter with Dapr in memory: what clients see, and the saga under every interruption.

use std::{cell::Cell, rc::Rc};

use coffeeshop::{STATIONS, STORE, Station};
use serde_json::{Value, json};
use wasmgate_sdk::{
    Request, Response, Router, client,
    testing::{self, Attempt, Dapr, Reply},
};

use super::*;

/// The whole shop, with the catalogue's first, fifth and eighth item.
fn shop() -> Dapr {
    let dapr = testing::dapr();
    let menu = json!([
        {"name": "CAPPUCCINO", "itemType": 0, "price": 4.5, "image": "img/CAPPUCCINO.svg"},
        {"name": "LATTE", "itemType": 5, "price": 4.5, "image": "img/LATTE.svg"},
        {"name": "MUFFIN", "itemType": 8, "price": 3.0, "image": "img/MUFFIN.svg"},
    ]);
    let products = Router::new().get("/v1-get-item-types", move |_| Response::json(&menu));
    dapr.app("product-api", products);
    dapr.app("counter-api", app());
    dapr.app("barista-api", Station::Barista.app());
    dapr.app("kitchen-api", Station::Kitchen.app());
    dapr
}

fn items(types: &[u32]) -> Value {
    types.iter().map(|kind| json!({"itemType": kind})).collect()
}

fn order(drinks: &[u32], food: &[u32]) -> Value {
    json!({
        "commandType": 0, "orderSource": 1, "location": 2,
        "loyaltyMemberId": "0199d2a0-0000-7000-8000-000000000009",
        "baristaItems": items(drinks), "kitchenItems": items(food),
        "timestamp": "2026-01-01T00:00:00Z",
    })
}

fn post(body: &Value) -> Request {
    Request::post("/v1/api/orders")
        .with_header("x-forwarded-prefix", "/c")
        .with_json(body)
}

fn place(dapr: &Dapr, body: &Value) -> String {
    id_of(&dapr.call("counter-api", post(body)))
}

#[track_caller]
fn id_of(reply: &Reply) -> String {
    assert_eq!(reply.status(), 202, "{}", reply.text());
    let id = reply.json::<Value>()["id"].as_str().unwrap().to_owned();
    let location = format!("/c/v1/api/orders/{id}");
    assert_eq!(reply.header("location"), Some(location.as_str()));
    id
}

fn status(dapr: &Dapr, id: &str) -> u64 {
    let reply = dapr.call("counter-api", Request::get(format!("/v1/api/orders/{id}")));
    assert_eq!(reply.status(), 200, "{}", reply.text());
    reply.json::<Value>()["orderStatus"].as_u64().unwrap()
}

fn order_list(dapr: &Dapr) -> Vec<Value> {
    let list = dapr.state(STORE, "order-list").unwrap_or(json!([]));
    list.as_array().unwrap().clone()
}

/// Makes an order look as if it had been placed long ago.
fn age(dapr: &Dapr, id: &str) {
    let key = format!("order-{id}");
    let mut order = dapr.state(STORE, &key).unwrap();
    order["placedAt"] = json!("2020-01-01T00:00:00Z");
    dapr.set_state(STORE, &key, order);
}

/// Calls fail that go to paths which begin so, from the n-th on.
fn fail_from(dapr: &Dapr, path: &'static str, nth: u32) {
    let calls = Rc::new(Cell::new(0));
    dapr.intercept(move |call| {
        if !call.path().starts_with(path) {
            return None;
        }
        calls.set(calls.get() + 1);
        (calls.get() >= nth).then_some(Err(client::Error::Timeout))
    });
}

#[test]
fn mixed_drinks_only_and_food_only_orders_are_fulfilled() {
    for (drinks, food) in [(&[5, 0][..], &[8][..]), (&[5], &[]), (&[], &[8, 8])] {
        let dapr = shop();
        let id = place(&dapr, &order(drinks, food));
        assert_eq!(status(&dapr, &id), 0);
        assert!(dapr.deliver_all().iter().all(Attempt::is_success));
        assert_eq!(status(&dapr, &id), 2, "{drinks:?} {food:?}");
        assert!(dapr.jobs().is_empty(), "nobody has to look at it again");
        assert_eq!(dapr.state(STORE, &format!("outbox-{id}")), None);
    }
}

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
fn only_the_stations_with_something_to_make_are_told() {
    let dapr = shop();
    let id = place(&dapr, &order(&[5], &[]));
    let told = dapr.published("baristapubsub", "baristaorderplaced");
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["data"]["orderId"], id.as_str());
    assert_eq!(
        told[0]["data"]["itemLines"],
        json!([{"itemLineId": "line-1", "itemType": 5, "itemStatus": 0}])
    );
    assert!(
        dapr.published("kitchenpubsub", "kitchenorderplaced")
            .is_empty()
    );
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
        order(&[], &[]).to_string(),
        order(&[5; 51], &[]).to_string(),
        json!({"baristaItems": [{"itemType": -1}]}).to_string(),
        json!({"baristaItems": "latte"}).to_string(),
        json!({"orderSource": 2, "baristaItems": [{"itemType": 5}]}).to_string(),
        json!({"loyaltyMemberId": "x".repeat(65), "baristaItems": [{"itemType": 5}]}).to_string(),
        "[]".to_owned(),
        "latte".to_owned(),
        String::new(),
    ];
    for body in refused {
        let reply = dapr.call(
            "counter-api",
            Request::post("/v1/api/orders").with_body(body.clone()),
        );
        assert_eq!(reply.status(), 400, "{body}");
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
fn events_that_come_twice_change_nothing() {
    let dapr = shop();
    let id = place(&dapr, &order(&[5], &[8]));
    dapr.deliver_all();
    let fulfilled = dapr.state(STORE, &format!("order-{id}"));
    for station in STATIONS {
        for topic in [station.placed_topic(), station.updated_topic()] {
            let events = dapr.published(station.pubsub(), topic);
            dapr.publish(station.pubsub(), topic, events[0]["data"].clone());
        }
    }
    assert!(dapr.deliver_all().iter().all(Attempt::is_success));
    assert_eq!(dapr.state(STORE, &format!("order-{id}")), fulfilled);
    assert_eq!(order_list(&dapr).len(), 1);
}

#[test]
fn an_order_is_in_progress_while_one_station_has_reported() {
    let dapr = shop();
    let id = place(&dapr, &order(&[5], &[8]));
    dapr.deliver(&Station::Barista.app());
    dapr.deliver(&app());
    assert_eq!(status(&dapr, &id), 1);
    assert_eq!(dapr.jobs(), [format!("order-{id}")]);
}

#[test]
fn a_report_for_an_order_that_was_never_placed_is_dead_lettered() {
    let dapr = shop();
    let forged = json!({"orderId": "0199d2a0-0000-7000-8000-000000000001", "itemLines": []});
    dapr.publish("kitchenpubsub", "kitchenorderupdated", forged);
    dapr.deliver_all();
    assert_eq!(
        dapr.published("kitchenpubsub", "kitchenorderupdated-dead")
            .len(),
        1
    );
    assert!(dapr.keys(STORE).is_empty());
}

#[test]
fn an_order_that_is_not_made_in_time_is_refunded_once_and_stays_so() {
    let dapr = shop();
    let id = place(&dapr, &order(&[5], &[8]));
    dapr.deliver(&Station::Barista.app());
    dapr.deliver(&app());
    let job = format!("order-{id}");
    assert_eq!(dapr.run_job(&app(), &job).status(), 200);
    assert_eq!(status(&dapr, &id), 1, "it is not time yet");
    age(&dapr, &id);
    assert_eq!(dapr.run_job(&app(), &job).status(), 200);
    assert_eq!(status(&dapr, &id), 3);
    assert!(dapr.jobs().is_empty());
    let refunded = dapr.state(STORE, &job).unwrap();
    let lines = refunded["itemLines"].as_array().unwrap().iter();
    let lines: Vec<_> = lines
        .map(|line| line["itemStatus"].as_u64().unwrap())
        .collect();
    assert_eq!(lines, [2, 3], "the drink was made, the food is paid back");
    // The kitchen comes too late.
    assert!(dapr.deliver_all().iter().all(Attempt::is_success));
    assert_eq!(dapr.state(STORE, &job), Some(refunded));
}

#[test]
fn an_order_is_refunded_even_while_nothing_can_be_published() {
    let dapr = shop();
    fail_from(&dapr, "/v1.0/publish", 1);
    let id = place(&dapr, &order(&[5], &[]));
    age(&dapr, &id);
    assert_eq!(dapr.run_job(&app(), &format!("order-{id}")).status(), 200);
    assert_eq!(status(&dapr, &id), 3);
    assert_eq!(dapr.state(STORE, &format!("outbox-{id}")), None);
    assert!(dapr.jobs().is_empty());
}

#[test]
fn an_outbox_that_was_not_emptied_goes_with_the_end_of_its_order() {
    let dapr = shop();
    fail_from(&dapr, "/v1.0/state/statestore/outbox", 1);
    let id = place(&dapr, &order(&[5], &[]));
    dapr.intercept(|_| None);
    assert!(dapr.state(STORE, &format!("outbox-{id}")).is_some());
    assert!(dapr.deliver_all().iter().all(Attempt::is_success));
    assert_eq!(status(&dapr, &id), 2);
    assert_eq!(dapr.state(STORE, &format!("outbox-{id}")), None);
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
        (reply.status(), reply.header("retry-after")),
        (503, Some("1"))
    );
}

#[test]
fn nothing_is_saved_when_the_job_cannot_be_scheduled() {
    let dapr = shop();
    fail_from(&dapr, "/v1.0/jobs", 1);
    assert_eq!(
        dapr.call("counter-api", post(&order(&[5], &[]))).status(),
        504
    );
    assert!(dapr.keys(STORE).is_empty());
}

#[test]
fn nothing_is_published_when_the_order_cannot_be_saved_and_its_job_gives_up() {
    let dapr = shop();
    fail_from(&dapr, "/v1.0/state/statestore/transaction", 1);
    assert_eq!(
        dapr.call("counter-api", post(&order(&[5], &[]))).status(),
        504
    );
    assert!(
        dapr.published("baristapubsub", "baristaorderplaced")
            .is_empty()
    );
    dapr.intercept(|_| None);
    let [job] = dapr.jobs().try_into().unwrap();
    dapr.run_job(&app(), &job);
    assert_eq!(dapr.jobs().len(), 1, "the order may still be saved");
    let id = job.strip_prefix("order-").unwrap();
    let long_ago = json!({"orderId": id, "scheduledMs": 0});
    let request = Request::post(format!("/job/{job}")).with_json(&long_ago);
    assert_eq!(testing::call(&app(), request).status(), 200);
    assert!(dapr.jobs().is_empty() && dapr.keys(STORE).is_empty());
}

#[test]
fn an_order_whose_events_were_not_all_published_is_told_to_the_stations_by_its_job() {
    // It ends before the first event, between the two, and before the outbox is emptied.
    for (path, nth) in [
        ("/v1.0/publish", 1),
        ("/v1.0/publish", 2),
        ("/v1.0/state/statestore/outbox", 1),
    ] {
        let dapr = shop();
        fail_from(&dapr, path, nth);
        let id = place(&dapr, &order(&[5], &[8]));
        dapr.intercept(|_| None);
        dapr.run_job(&app(), &format!("order-{id}"));
        assert!(dapr.deliver_all().iter().all(Attempt::is_success));
        assert_eq!(status(&dapr, &id), 2, "{path} {nth}");
        assert!(dapr.jobs().is_empty());
        assert_eq!(dapr.state(STORE, &format!("outbox-{id}")), None);
    }
}

#[test]
fn an_order_that_ended_before_its_job_was_deleted_loses_it_at_its_next_run() {
    let dapr = shop();
    let id = place(&dapr, &order(&[5], &[]));
    dapr.intercept(|call| {
        let delete = call.method().as_str() == "DELETE" && call.path().starts_with("/v1.0/jobs");
        delete.then_some(Err(client::Error::Timeout))
    });
    dapr.deliver(&Station::Barista.app());
    assert!(!dapr.deliver(&app())[0].is_success());
    dapr.intercept(|_| None);
    assert_eq!(status(&dapr, &id), 2);
    dapr.run_job(&app(), &format!("order-{id}"));
    assert!(dapr.jobs().is_empty());
    assert_eq!(status(&dapr, &id), 2);
}

#[test]
fn orders_are_listed_newest_first_in_pages_that_link_to_each_other() {
    let dapr = shop();
    let placed: Vec<_> = (0..5).map(|_| place(&dapr, &order(&[5], &[]))).collect();
    let list = |query: &str| {
        let request = Request::get(format!("/v1/api/fulfillment-orders{query}"));
        dapr.call(
            "counter-api",
            request.with_header("x-forwarded-prefix", "/c"),
        )
    };
    let ids = |reply: &Reply| -> Vec<String> {
        let orders: Vec<Value> = reply.json();
        orders
            .iter()
            .map(|order| order["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let newest: Vec<_> = placed.iter().rev().cloned().collect();
    let all = list("");
    assert_eq!(
        (ids(&all), all.header("x-total-count")),
        (newest.clone(), Some("5"))
    );
    assert_eq!(all.header("link"), None);
    let middle = list("?page=2&size=2");
    assert_eq!(ids(&middle), newest[2..4]);
    assert_eq!(
        middle.header("link"),
        Some(
            "</c/v1/api/fulfillment-orders?page=1&size=2>; rel=\"prev\", \
             </c/v1/api/fulfillment-orders?page=3&size=2>; rel=\"next\""
        )
    );
    assert_eq!(ids(&list("?page=3&size=2")), newest[4..]);
    assert!(ids(&list("?page=9")).is_empty());
    for bad in ["?page=0", "?size=0", "?size=101", "?page=x"] {
        assert_eq!(list(bad).status(), 400, "{bad}");
    }
}

#[test]
fn a_long_list_moves_to_pages_and_loses_nothing() {
    let dapr = shop();
    let id = |number: usize| format!("0199d2a0-0000-7000-8000-{number:012}");
    let full: Vec<_> = (0..1000).map(id).collect();
    dapr.set_state(STORE, "order-list", json!(full));
    let newest = place(&dapr, &order(&[5], &[]));
    assert_eq!(order_list(&dapr), [newest.as_str()]);
    assert_eq!(dapr.state(STORE, "order-list-0"), Some(json!(full)));
    let before = place(&dapr, &order(&[5], &[]));
    let list = testing::block_on(async {
        let list = order_list::OrderList::read().await?;
        list.newest_first(0, 4).await
    });
    let list: Vec<_> = list.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(list, [before, newest, id(999), id(998)]);
    let reply = dapr.call("counter-api", Request::get("/v1/api/fulfillment-orders"));
    assert_eq!(reply.header("x-total-count"), Some("1002"));
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
fn an_order_waits_for_nobody_when_the_catalogue_cannot_be_read() {
    let dapr = shop();
    fail_from(&dapr, "/v1.0/invoke", 1);
    assert_eq!(
        dapr.call("counter-api", post(&order(&[5], &[]))).status(),
        504
    );
    assert!(dapr.keys(STORE).is_empty() && dapr.jobs().is_empty());
}
