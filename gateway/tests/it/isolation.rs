//! Every request gets a fresh instance, and none pays for another one's end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::Request;
use tokio::{task::JoinSet, time::sleep};

use crate::harness::{Body, RawConnection, Reply, TestGateway, empty, until, within};

#[tokio::test]
async fn a_static_counter_answers_1_every_time() {
    let gateway = TestGateway::builder().guest("counter").start();
    let mut connection = gateway.http1().await;
    for _ in 0..100 {
        let request = gateway.request("GET", "/counter").body(empty()).unwrap();
        within("the connection", connection.ready()).await.unwrap();
        let response = connection.send_request(request).await.unwrap();
        assert_eq!(Reply::of(response).await.unwrap().text(), "1");
    }
}

#[tokio::test]
async fn ten_thousand_requests_with_one_trap_in_ten_lose_no_slot_and_no_good_answer() {
    const REQUESTS: u64 = 10_000;
    const CONNECTIONS: u64 = 64;
    const PACKAGE: (&str, &str) = ("package", "traps-on-every-tenth");
    // No more slots than clients: one that leaked would soon be missed.
    let limits = format!("concurrency = {CONNECTIONS}");
    let gateway = TestGateway::builder()
        .limits(&limits)
        .guest("traps_on_every_tenth")
        .start();
    let next = Arc::new(AtomicU64::new(0));
    let clients = (0..CONNECTIONS).map(|_| {
        let (gateway, next) = (&gateway, Arc::clone(&next));
        async move {
            let mut connection = gateway.http1().await;
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= REQUESTS {
                    return;
                }
                if within("the connection", connection.ready()).await.is_err() {
                    connection = gateway.http1().await;
                }
                let response = within("an answer", connection.send_request(numbered(n))).await;
                check(n, &Reply::of(response.expect("a response")).await.unwrap());
            }
        }
    });
    futures_util::future::join_all(clients).await;
    gateway.wait_for_in_flight(PACKAGE.1, 0).await;
    let metrics = gateway.metrics().await;
    let answered = |status| metrics.sum("wasmgate_requests_total", &[PACKAGE, ("status", status)]);
    assert_eq!((answered("200"), answered("502")), (9_000.0, 1_000.0));
    assert_eq!(
        metrics.sum("wasmgate_guest_traps_total", &[PACKAGE]),
        1_000.0
    );
}

fn numbered(n: u64) -> Request<Body> {
    let target = format!("/traps-on-every-tenth?n={n}");
    Request::get(target)
        .header("host", "x")
        .body(empty())
        .unwrap()
}

fn check(n: u64, reply: &Reply) {
    if n.is_multiple_of(10) {
        reply.assert_error(502, "guest-trap");
    } else {
        assert_eq!((reply.status.as_u16(), reply.text()), (200, n.to_string()));
    }
}

#[tokio::test]
async fn what_one_call_of_a_guest_asks_for_takes_a_moment_or_ends_it() {
    let gateway = TestGateway::builder()
        .server("workers = 1")
        .guest_with("torments", "limits = { timeout = \"6s\" }")
        .guest("hello")
        .start();
    // One as much as it may, without end where it is repeated, and one more.
    for (most, status, more) in [
        ("poll-wide&n=10000", 504, "poll-wide&n=10001"),
        ("much-random&n=1048576", 200, "much-random&n=1048577"),
        (
            "too-much-output&n=1048576",
            200,
            "too-much-output&n=1048577",
        ),
        (
            "insecure-random&n=1048576",
            200,
            "insecure-random&n=1048577",
        ),
    ] {
        let reply = gateway.get(&format!("/torments?do={most}")).await;
        assert_eq!(reply.status, status, "{most}: {}", reply.text());
        let reply = gateway.get(&format!("/torments?do={more}")).await;
        reply.assert_error(502, "guest-trap");
        assert_eq!(gateway.get("/hello").await.text(), "Hello from a package\n");
    }
    gateway
        .wait_for_words("it polls 10001 things at once")
        .await;
}

#[tokio::test]
async fn clients_that_leave_guests_that_spin_take_no_worker_by_new_ones() {
    /// How long a client stays: about as long as a guest may compute before it lets others go first.
    const STAYS: Duration = Duration::from_millis(20);
    const REQUESTS: usize = 50;

    let gateway = TestGateway::builder()
        .server("workers = 1")
        .guest("spins")
        .guest("hello")
        .start();
    gateway.get("/hello").await;
    let mut clients = JoinSet::new();
    for _ in 0..8 {
        let address = gateway.address;
        clients.spawn(async move {
            loop {
                let mut connection = RawConnection::to(address).await;
                connection
                    .send("GET /spins HTTP/1.1\r\nhost: x\r\n\r\n")
                    .await;
                sleep(STAYS).await;
            }
        });
    }
    let started = async || {
        let metrics = gateway.metrics().await;
        metrics.sum(
            "wasmgate_instantiation_seconds_count",
            &[("package", "spins")],
        ) as usize
    };
    until("guests to be started", async || started().await > 20).await;
    let before = started().await;
    for _ in 0..REQUESTS {
        assert_eq!(gateway.get("/hello").await.text(), "Hello from a package\n");
    }
    // A request goes through the worker's queue a few times; were there a new guest of each client in each round, there
    // would be more than 20 to a request.
    let guests = started().await - before;
    assert!(
        guests < 10 * REQUESTS,
        "{guests} guests were started beside {REQUESTS} requests"
    );
    clients.shutdown().await;
    gateway.wait_for_in_flight("spins", 0).await;
}

#[tokio::test]
async fn a_hundred_spinning_guests_of_one_package_hold_up_another_no_more_than_one_does() {
    let gateway = TestGateway::builder()
        .server("workers = 1")
        .guest_with("spins", "limits = { timeout = \"60s\" }")
        .guest("hello")
        .start();
    gateway.get("/hello").await;
    let mut spinning = Vec::new();
    for _ in 0..100 {
        let mut connection = gateway.raw().await;
        connection
            .send("GET /spins HTTP/1.1\r\nhost: x\r\n\r\n")
            .await;
        spinning.push(connection);
    }
    gateway.wait_for_in_flight("spins", 100).await;
    // A turn is up to ten milliseconds: were there one of each in every round, fifty requests would take longer than
    // the spinning guests have.
    for _ in 0..50 {
        assert_eq!(gateway.get("/hello").await.text(), "Hello from a package\n");
    }
    let metrics = gateway.metrics().await;
    let left = metrics.sum("wasmgate_instances_in_flight", &[("package", "spins")]);
    assert_eq!(left as u64, 100, "they still spin");
}
