//! The coffee shop that is shipped, from outside: every order comes to one end, whatever breaks.

pub(crate) mod shop;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::Value;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
};

use crate::harness::{Signal, TestGateway, empty, until};
use shop::{FULFILLED, REFUNDED, Shop, any_order, end_of, id_of, listed, order, place, show, try_place};

/// A time-out that no order reaches on a machine that works, however busy.
const NEVER: &str = "10m";

#[tokio::test]
async fn mixed_drinks_only_and_food_only_orders_are_fulfilled() {
    let shop = Shop::new(NEVER);
    let gateway = shop.open();
    for (drinks, food, total) in [
        (&[5, 0][..], &[8][..], 12.0),
        (&[5], &[], 4.5),
        (&[], &[6, 6], 5.0),
    ] {
        let id = place(&gateway, &order(drinks, food)).await;
        assert_eq!(end_of(&gateway, &id).await, FULFILLED);
        let order = show(&gateway, &id).await;
        assert_eq!(order["total"], total);
        let lines = order["itemLines"].as_array().unwrap();
        assert_eq!(lines.len(), drinks.len() + food.len());
        assert!(lines.iter().all(|line| line["itemStatus"] == FULFILLED));
    }
}

#[tokio::test]
async fn an_unknown_item_is_refused_and_nothing_is_saved() {
    let shop = Shop::new(NEVER);
    let mut gateway = shop.open();
    let reply = gateway
        .post("/c/v1/api/orders", order(&[5, 42], &[]).to_string())
        .await;
    assert_eq!(reply.status, 400);
    assert_eq!(
        reply.header("content-type"),
        Some("application/problem+json")
    );
    let problem: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(problem["errors"][0]["pointer"], "/baristaItems/1/itemType");
    let list = gateway.get("/c/v1/api/fulfillment-orders").await;
    assert_eq!(
        (list.text().as_str(), list.header("x-total-count")),
        ("[]", Some("0"))
    );
    close(&mut gateway).await;
    let books = shop.books();
    assert_eq!(books.counter("order-list").await, None);
    assert!(books.left().await.is_empty());
}

#[tokio::test]
async fn the_same_idempotency_key_gives_the_same_order_however_often_it_comes_at_once() {
    let shop = Shop::new(NEVER);
    let mut gateway = shop.open();
    let mut requests = JoinSet::new();
    for _ in 0..20 {
        let address = gateway.address;
        requests.spawn(async move {
            try_place(address, "once", &order(&[5], &[8]))
                .await
                .unwrap()
        });
    }
    let replies = requests.join_all().await;
    let ids: BTreeSet<_> = replies.iter().map(id_of).collect();
    let [id] = Vec::from_iter(ids).try_into().unwrap();
    assert_eq!(end_of(&gateway, &id).await, FULFILLED);
    let other = try_place(gateway.address, "once", &order(&[5], &[]))
        .await
        .unwrap();
    assert_eq!(other.status, 422);
    close(&mut gateway).await;
    assert_eq!(shop.books().order_list().await, [id]);
}

#[tokio::test]
async fn five_hundred_orders_at_once_are_all_fulfilled_and_listed_once() {
    let shop = Shop::new(NEVER);
    let mut gateway = shop.open();
    let mut requests = JoinSet::new();
    for number in 0..500 {
        let (address, key) = (gateway.address, format!("order {number}"));
        requests.spawn(async move { try_place(address, &key, &any_order(number)).await.unwrap() });
    }
    let ids: BTreeSet<_> = requests.join_all().await.iter().map(id_of).collect();
    assert_eq!(ids.len(), 500);
    for id in &ids {
        assert_eq!(end_of(&gateway, id).await, FULFILLED);
    }
    assert_eq!(listed(&gateway).await, ids);
    close(&mut gateway).await;
    let books = shop.books();
    let list = books.order_list().await;
    assert_eq!(list.len(), 500);
    assert_eq!(BTreeSet::from_iter(list), ids);
    assert_eq!(books.left().await, BTreeMap::new(), "dead letters included");
}

#[tokio::test]
async fn orders_are_refunded_and_their_events_dead_lettered_when_the_kitchen_traps() {
    let shop = Shop::new("10s").with_a_kitchen_that_traps();
    let mut gateway = shop.open();
    let mixed = place(&gateway, &order(&[5], &[8])).await;
    let food = place(&gateway, &order(&[], &[6])).await;
    let drinks = place(&gateway, &order(&[5], &[])).await;
    assert_eq!(end_of(&gateway, &drinks).await, FULFILLED);
    for id in [&mixed, &food] {
        assert_eq!(end_of(&gateway, id).await, REFUNDED);
    }
    // Two events, each tried three times.
    let failed = [
        ("topic", "kitchenorderplaced"),
        ("message", "an event was not taken"),
    ];
    until("every try to fail", async || {
        let events = gateway.events();
        events.iter().filter(|event| event.has(&failed)).count() == 6
    })
    .await;
    let lines = show(&gateway, &mixed).await["itemLines"].clone();
    assert_eq!(
        (&lines[0]["itemStatus"], &lines[1]["itemStatus"]),
        (&FULFILLED.into(), &REFUNDED.into())
    );
    close(&mut gateway).await;
    let left = shop.books().left().await;
    assert_eq!(
        left,
        BTreeMap::from([("kitchenorderplaced-dead".to_owned(), 2)])
    );
}

#[tokio::test]
async fn every_order_ends_once_when_the_gateway_is_killed_among_two_hundred() {
    let shop = Shop::new("20s");
    let mut gateway = shop.open();
    let mut requests = JoinSet::new();
    // Some at once, so that others are still to come when the end comes, however long this thread had to wait.
    let places = Arc::new(Semaphore::new(40));
    for number in 0..200 {
        let (address, key) = (gateway.address, format!("order {number}"));
        let places = Arc::clone(&places);
        requests.spawn(async move {
            let _place = places.acquire().await;
            (number, try_place(address, &key, &any_order(number)).await)
        });
    }
    let mut answered = BTreeMap::new();
    while let Some(done) = requests.join_next().await {
        if let (number, Some(reply)) = done.unwrap() {
            answered.insert(number, id_of(&reply));
        }
        if answered.len() == 60 {
            gateway.kill();
        }
    }
    assert!((60..200).contains(&answered.len()), "killed in the middle");
    let before = gateway.log();

    let mut gateway = shop.open();
    let mut ids = BTreeSet::new();
    for number in 0..200 {
        // Those who were not answered ask again, and so do some who were.
        let key = format!("order {number}");
        let reply = try_place(gateway.address, &key, &any_order(number))
            .await
            .unwrap();
        let id = id_of(&reply);
        assert!(answered.get(&number).is_none_or(|answered| *answered == id));
        ids.insert(id);
    }
    assert_eq!(ids.len(), 200);
    for id in &ids {
        assert!([FULFILLED, REFUNDED].contains(&end_of(&gateway, id).await));
    }
    assert_eq!(listed(&gateway).await, ids);
    let log = before + &gateway.log();
    for id in &ids {
        let ends = ["FULFILLED", "REFUNDED"].map(|end| log.matches(&format!("order {id}: {end}")).count());
        assert!(
            ends.iter().sum::<usize>() <= 1,
            "order {id} ended {ends:?} times"
        );
    }
    close(&mut gateway).await;
    let books = shop.books();
    assert_eq!(books.order_list().await.len(), 200);
    assert!(
        books
            .left()
            .await
            .keys()
            .all(|topic| !topic.ends_with("-dead"))
    );
}

/// Orders that are placed while the gateway is killed again and again.
const ORDERS: usize = 240;

/// The number of times.
const KILLS: usize = 10;

/// Clients at once, each with its share of the orders.
const CLIENTS: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_order_ends_once_through_ten_sigkills() {
    let shop = Shop::new("20s");
    let mut gateway = shop.open();
    let (tell, address) = watch::channel(Some(gateway.address));
    let taken = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (mut address, taken) = (address.clone(), Arc::clone(&taken));
        clients.spawn(async move {
            let mut ids = Vec::new();
            for number in (client..ORDERS).step_by(CLIENTS) {
                let key = format!("order {number}");
                // Who was not answered asks again.
                let reply = loop {
                    let at = (*address.wait_for(Option::is_some).await.unwrap()).unwrap();
                    match try_place(at, &key, &any_order(number)).await {
                        Some(reply) if reply.status.is_success() => break reply,
                        _ => tokio::task::yield_now().await,
                    }
                };
                taken.fetch_add(1, Ordering::Relaxed);
                ids.push(id_of(&reply));
            }
            ids
        });
    }
    let mut log = String::new();
    for kill in 0..KILLS {
        let after = kill * ORDERS / KILLS + ORDERS / KILLS / 2;
        until("the next kill", || async {
            taken.load(Ordering::Relaxed) >= after
        })
        .await;
        tell.send_replace(None);
        gateway.kill();
        log += &gateway.log();
        gateway = shop.open();
        tell.send_replace(Some(gateway.address));
    }
    let ids: Vec<String> = clients.join_all().await.into_iter().flatten().collect();
    let different: BTreeSet<_> = ids.iter().cloned().collect();
    assert_eq!((ids.len(), different.len()), (ORDERS, ORDERS));
    let mut ends = BTreeMap::new();
    for id in &ids {
        let end = end_of(&gateway, id).await;
        assert!(
            [FULFILLED, REFUNDED].contains(&end),
            "order {id} has ended as {end}"
        );
        *ends.entry(end).or_insert(0) += 1;
    }
    println!("{ORDERS} orders through {KILLS} kills: {ends:?}");
    assert_eq!(listed(&gateway).await, different);
    log += &gateway.log();
    for id in &ids {
        let told = ["FULFILLED", "REFUNDED"].map(|end| log.matches(&format!("order {id}: {end}")).count());
        assert!(
            told.iter().sum::<usize>() <= 1,
            "order {id} ended {told:?} times"
        );
    }
    close(&mut gateway).await;
    let books = shop.books();
    assert_eq!(books.order_list().await.len(), ORDERS);
    let left = books.left().await;
    assert!(
        left.keys().all(|topic| !topic.ends_with("-dead")),
        "{left:?}"
    );
}

#[tokio::test]
async fn an_orders_events_are_streamed_until_it_ends() {
    let shop = Shop::new("8s").with_a_kitchen_that_traps();
    let gateway = shop.open();
    let id = place(&gateway, &order(&[5], &[8])).await;
    let stream = gateway.get(&format!("/c/v1/api/orders/{id}/events")).await;
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    let text = stream.text();
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let statuses: Vec<_> = data
        .map(|data| {
            serde_json::from_str::<Value>(data).unwrap()["orderStatus"]
                .as_u64()
                .unwrap()
        })
        .collect();
    // As they come: the drink is made at once, or had been before anyone looked.
    assert!(statuses.is_sorted(), "{statuses:?}");
    assert!(
        statuses.len() > 1 && statuses[0] < FULFILLED,
        "{statuses:?}"
    );
    assert_eq!(statuses.last(), Some(&REFUNDED));
}

#[tokio::test]
async fn nobody_outside_reaches_event_routes_jobs_or_dapr() {
    let shop = Shop::new(NEVER);
    let gateway = shop.open();
    let id = place(&gateway, &order(&[5], &[])).await;
    let topics = "baristapubsub/baristaorderupdated";
    for prefix in ["", "/c", "/p", "/c/", "//c"] {
        for path in [
            "/dapr/subscribe".to_owned(),
            "/dapr/config".to_owned(),
            format!("/dapr/events/{topics}"),
            format!("/DAPR/events/{topics}"),
            format!("/job/order-{id}"),
            "/v1.0/state/statestore/order-list".to_owned(),
        ] {
            for method in ["GET", "POST"] {
                let target = format!("{prefix}{path}");
                let request = gateway.request(method, &target).body(empty()).unwrap();
                assert_eq!(gateway.send(request).await.status, 404, "{method} {target}");
            }
        }
    }
}

#[tokio::test]
async fn the_page_and_its_pictures_are_served_below_every_other_route() {
    let shop = Shop::new(NEVER);
    let gateway = shop.open();
    let page = gateway.get("/").await;
    assert_eq!(page.status, 200);
    assert!(
        page.header("content-security-policy")
            .unwrap()
            .contains("default-src 'none'")
    );
    let menu = gateway.get("/p/v1-get-item-types").await;
    let menu: Vec<Value> = serde_json::from_slice(&menu.body).unwrap();
    assert_eq!(menu.len(), 10);
    for item in menu {
        let picture = gateway
            .get(&format!("/{}", item["image"].as_str().unwrap()))
            .await;
        assert_eq!(
            (picture.status.as_u16(), picture.header("content-type")),
            (200, Some("image/svg+xml"))
        );
    }
}

/// Closes the shop in order: what is under way is finished.
async fn close(gateway: &mut TestGateway) {
    gateway.signal(Signal::Terminate);
    assert!(gateway.ended().await.success());
}
