//! What a service may take: its own time, memory and instances, and its neighbours' none.

use bytes::Bytes;
use futures_util::future::join_all;
use http_body::Frame;
use http_body_util::BodyExt as _;

use super::{assert_unharmed, beside_hello};
use crate::harness::{Signal, TestGateway, channel, until, within};

/// Instances that wait with as much as they may have.
const WAITING: usize = 10;

/// More of anything than fits in what instances may have here.
const UNCOUNTED: u64 = 200_000;

#[tokio::test]
async fn a_guest_that_never_gives_way_meets_its_deadline_and_lets_its_neighbour_answer() {
    let gateway = beside_hello("timeout = \"8s\"", "").start();
    for path in ["spin", "yield", "never"] {
        let target = format!("/new/{path}");
        let late = gateway.get(&target);
        let neighbour = async {
            gateway.wait_for_in_flight("new", 1).await;
            for _ in 0..5 {
                assert_eq!(gateway.get("/hello").await.text(), "Hello from a package\n");
            }
            let metrics = gateway.metrics().await;
            let labels = [("package", "new")];
            assert_eq!(
                metrics.sum("wasmgate_instances_in_flight", &labels),
                1.0,
                "{path}"
            );
        };
        let (reply, ()) = tokio::join!(late, neighbour);
        reply.assert_error(504, "deadline");
        assert_unharmed(&gateway).await;
    }
}

#[tokio::test]
async fn many_guests_that_never_give_way_have_their_turns_one_at_a_time() {
    let gateway = beside_hello("timeout = \"20s\"", "").start();
    let spinning = join_all((0..12).map(|at| {
        let how = if at % 2 == 0 { "spin" } else { "yield" };
        let target = format!("/new/{how}");
        let gateway = &gateway;
        async move { gateway.get(&target).await.status }
    }));
    let neighbour = async {
        gateway.wait_for_in_flight("new", 12).await;
        for _ in 0..20 {
            assert_eq!(gateway.get("/hello").await.text(), "Hello from a package\n");
        }
        // They are all still at it.
        let metrics = gateway.metrics().await;
        assert_eq!(
            metrics.sum("wasmgate_instances_in_flight", &[("package", "new")]),
            12.0
        );
    };
    let (statuses, ()) = tokio::join!(spinning, neighbour);
    assert!(statuses.iter().all(|status| *status == 504), "{statuses:?}");
}

#[tokio::test]
async fn what_wasmtime_keeps_for_an_instance_counts_as_its_memory() {
    let gateway = beside_hello("memory = \"32MiB\"\ntimeout = \"60s\"", "").start();
    for what in ["streams", "futures", "fields", "timers", "bodies"] {
        let reply = gateway.get(&format!("/new/hoard?what={what}")).await;
        assert_eq!(reply.status, 502, "{what}: {}", reply.text());
        reply.assert_error(502, "memory-limit");
        assert_unharmed(&gateway).await;
    }
    gateway.wait_for_words("`limits.memory` is 33554432").await;
}

#[tokio::test]
async fn as_much_of_it_as_a_request_needs_is_no_harm() {
    let gateway = beside_hello("memory = \"32MiB\"\ntimeout = \"60s\"", "").start();
    for (what, count) in [
        ("streams", 2000),
        ("futures", 2000),
        ("fields", 2000),
        ("timers", 2000),
        ("bodies", 200),
    ] {
        let reply = gateway
            .get(&format!("/new/hoard?what={what}&count={count}"))
            .await;
        assert_eq!(reply.text(), "kept", "{what}");
    }
}

/// Nearly the most of something that a guest may have when it is looked at.
async fn most(gateway: &TestGateway, what: &str) -> u64 {
    let may_have = async |count: u64| {
        let target = format!("/new/hoard?what={what}&count={count}&then=rest");
        match gateway.get(&target).await.status.as_u16() {
            200 => true,
            502 => false,
            status => panic!("{what} {count}: {status}"),
        }
    };
    let (mut most, mut too_many) = (500, 1000);
    while may_have(too_many).await {
        assert!(too_many < UNCOUNTED, "{what} are not counted");
        (most, too_many) = (too_many, 2 * too_many);
    }
    while too_many - most > most / 8 {
        let middle = most.midpoint(too_many);
        match may_have(middle).await {
            true => most = middle,
            false => too_many = middle,
        }
    }
    // What an instance has besides differs a little from one to the next.
    most - most / 16
}

#[tokio::test]
async fn instances_that_wait_hold_no_more_than_their_memory() {
    let gateway = beside_hello(
        "memory = \"16MiB\"\ntimeout = \"10m\"",
        "limits = { concurrency = 60 }",
    )
    .start();
    for what in ["streams", "futures", "fields"] {
        let most = most(&gateway, what).await;
        let before = gateway.resident_bytes();
        // As much as they may have, and they wait with it.
        let target = format!("/new/hoard?what={what}&count={most}&then=wait");
        let waiting = join_all((0..WAITING).map(|_| gateway.get(&target)));
        let look = async {
            gateway.wait_for_in_flight("new", WAITING as u64).await;
            // They have all had their turns by now, or will have while this is answered.
            let mut grown = 0;
            for _ in 0..20 {
                assert_eq!(gateway.get("/hello").await.text(), "Hello from a package\n");
                grown = grown.max(gateway.resident_bytes().saturating_sub(before));
            }
            grown
        };
        let grown = tokio::select! {
            replies = waiting => panic!("{what}: none of them waits: {:?}", replies[0].status),
            grown = look => grown,
        };
        let each = grown / WAITING as u64;
        println!("{what}: {most}, {each} bytes");
        assert!(each < 18 << 20, "{what}: {most} take {each} bytes");
        gateway.wait_for_in_flight("new", 0).await;
    }
}

#[tokio::test]
async fn more_than_the_concurrency_waits_and_more_than_may_wait_is_refused() {
    let gateway = beside_hello(
        "timeout = \"30s\"",
        "limits = { concurrency = 1, queue = 1, queue_timeout = \"1m\" }",
    )
    .start();
    let first = gateway.get("/new/sleep?ms=5000");
    let rest = async {
        gateway.wait_for_in_flight("new", 1).await;
        let second = gateway.get("/new/sleep?ms=1");
        let third = async {
            gateway
                .wait_for_metric("wasmgate_queue_waiting", &[("package", "new")], 1)
                .await;
            gateway.get("/new/count").await
        };
        tokio::join!(second, third)
    };
    let (first, (second, third)) = tokio::join!(first, rest);
    assert_eq!(first.text(), "awake");
    assert_eq!(second.text(), "awake", "it waited for its turn");
    third.assert_error(503, "queue-full");
    assert_unharmed(&gateway).await;
}

#[tokio::test]
async fn what_is_in_flight_is_finished_before_the_end_of_the_gateway() {
    let mut gateway = beside_hello("timeout = \"10m\"", "")
        .server("drain_timeout = \"10m\"")
        .start();
    let (sender, body) = channel();
    let request = gateway.request("POST", "/new/echo").body(body).unwrap();
    let mut response = gateway.start_request(request).await.unwrap();
    sender.send(Frame::data(Bytes::from("one"))).await.unwrap();
    let part = within("the part", response.body_mut().frame()).await;
    assert_eq!(part.unwrap().unwrap().into_data().unwrap(), "one");
    gateway.signal(Signal::Terminate);
    until("a gateway that is not ready", || async {
        gateway.admin_get("/readyz").await.status == 503
    })
    .await;
    sender.send(Frame::data(Bytes::from("two"))).await.unwrap();
    drop(sender);
    let rest = within("the rest", response.into_body().collect())
        .await
        .unwrap();
    assert_eq!(rest.to_bytes(), "two");
    assert_eq!(gateway.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_guest_that_prints_without_end_is_in_the_log_as_far_as_its_budget_goes() {
    let gateway = beside_hello("timeout = \"30s\"", "").start();
    assert_eq!(gateway.get("/new/print?lines=2").await.text(), "Ok(())");
    for line in ["line 1 of WASI 0.3", "a line of Rust's own"] {
        gateway
            .wait_for_event(&[("package", "new"), ("stream", "stdout"), ("message", line)])
            .await;
    }
    assert_eq!(gateway.get("/new/print?lines=20000").await.text(), "Ok(())");
    let dropped = [("package", "new")];
    until("lines that are dropped", || async {
        gateway
            .metrics()
            .await
            .sum("wasmgate_guest_output_dropped_lines_total", &dropped)
            > 10_000.0
    })
    .await;
    assert_unharmed(&gateway).await;
}
