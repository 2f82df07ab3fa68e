//! All orders, page by page.

use super::*;

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
