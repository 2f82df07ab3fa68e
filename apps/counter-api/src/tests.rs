//! The counter with Dapr in memory: what clients see, and the saga under every interruption.

mod board;
mod placing;
mod saga;

use std::{cell::Cell, rc::Rc};

use coffeeshop_common::{STATIONS, STORE, Station};
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
