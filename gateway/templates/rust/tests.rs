//! The same router, called natively: `cargo test` needs no gateway.

use serde_json::{Value, json};
use wasmgate_sdk::{Request, testing};

use super::app;

#[test]
fn a_name_is_greeted() {
    let reply = testing::call(&app(), Request::get("/you"));
    assert_eq!(reply.status(), 200);
    assert_eq!(reply.text(), "Hello, you!\n");
}

#[test]
fn a_visitor_is_welcomed_in_json() {
    let request = Request::post("/").with_json(&json!({"name": "Ada"}));
    let reply = testing::call(&app(), request);
    assert_eq!(reply.json::<Value>(), json!({"greeting": "Welcome, Ada!"}));
}

#[test]
fn a_body_that_is_no_json_is_refused() {
    let reply = testing::call(&app(), Request::post("/").with_body("hello"));
    assert_eq!(reply.status(), 400);
}
