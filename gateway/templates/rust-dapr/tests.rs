//! The same router, called natively; an in-memory stand-in answers in Dapr's place.

use serde_json::json;
use wasmgate_sdk::{Request, testing};

use super::app;

#[test]
fn an_order_is_kept_brewed_and_looked_after() {
    let dapr = testing::dapr();
    dapr.app("{{name}}", app());
    let order = json!({"id": "7", "drink": "latte"});
    let placed = dapr.call("{{name}}", Request::post("/").with_json(&order));
    assert_eq!(placed.status(), 202);
    assert_eq!(dapr.jobs(), ["late-7"]);
    dapr.deliver_all();
    assert_eq!(dapr.state("statestore", "7").unwrap()["status"], "Ready");
}

#[test]
fn the_same_order_is_not_taken_twice() {
    let dapr = testing::dapr();
    dapr.app("{{name}}", app());
    let order = || Request::post("/").with_json(&json!({"id": "7", "drink": "latte"}));
    assert_eq!(dapr.call("{{name}}", order()).status(), 202);
    assert_eq!(dapr.call("{{name}}", order()).status(), 409);
}
