//! Crashes: what was acknowledged survives the end of the process at any moment, and writers that compete all count.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tempfile::TempDir;
use tokio::{net::TcpStream, sync::watch};

use crate::{
    dapr_blocks::SUBSCRIBES,
    harness::{Signal, TestGateway, full, until},
};

/// Saves, and as many publishes, that have to be acknowledged.
const EACH: usize = 1000;

/// The number of times that the process ends meanwhile.
const KILLS: usize = 10;

/// Clients at work at once, half of them saving and half publishing.
const CLIENTS: usize = 16;

/// Events that wait for their subscribers.
const QUEUED: &str = "wasmgate_dapr_queued_events";

/// The clients' view of the test: where the gateway is now, and how much it has acknowledged.
struct Work {
    address: watch::Receiver<Option<SocketAddr>>,
    acknowledged: AtomicUsize,
    failed: AtomicUsize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_acknowledged_survives_sigkill_at_any_moment() {
    let subscriptions = |topic: &str, dead: &str| {
        format!(
            r#"env = {{ SUBSCRIPTIONS = '[{{"pubsubname":"pubsub","topic":"{topic}","route":"/events"{dead}}}]' }}
               dapr = {{ state = ["statestore"], subscribe = ["pubsub/*"] }}"#
        )
    };
    let builder = TestGateway::builder()
        .guest_as(
            "shop",
            "calls_dapr",
            r#"dapr = { state = ["statestore"], publish = ["pubsub/*"] }"#,
        )
        .guest_as(
            "taker",
            "takes_deliveries",
            &subscriptions("orders", r#","deadLetterTopic":"orders-dead""#),
        )
        .guest_as(
            "undertaker",
            "takes_deliveries",
            &subscriptions("orders-dead", ""),
        );
    let folder = TempDir::new().unwrap();
    let mut gateway = builder.start_in(folder.path());
    gateway.ready().await;
    let (tell, address) = watch::channel(Some(gateway.address));
    let work = Arc::new(Work {
        address,
        acknowledged: AtomicUsize::new(0),
        failed: AtomicUsize::new(0),
    });
    let clients = (0..CLIENTS).map(|client| tokio::spawn(run_client(Arc::clone(&work), client)));
    let clients: Vec<_> = clients.collect();
    for kill in 0..KILLS {
        let after = (kill * 2 * EACH + random(2 * EACH)) / (KILLS + 1);
        until("the next kill", || async {
            work.acknowledged.load(Ordering::Relaxed) >= after
        })
        .await;
        tokio::time::sleep(Duration::from_micros(random(20_000) as u64)).await;
        tell.send_replace(None);
        gateway.kill();
        gateway = builder.start_in(folder.path());
        tell.send_replace(Some(gateway.address));
    }
    for client in clients {
        client.await.unwrap();
    }
    let (acknowledged, failed) = (&work.acknowledged, &work.failed);
    println!(
        "{} acknowledged through {KILLS} kills, {} calls cut off and made again",
        acknowledged.load(Ordering::Relaxed),
        failed.load(Ordering::Relaxed)
    );

    let saved = bulk(&gateway, "shop", |n| format!("save-{n}")).await;
    assert_eq!(saved.len(), EACH, "of {EACH} acknowledged saves");
    until("every acknowledged event", || async {
        bulk(&gateway, "taker", |n| format!("seen:event-{n}"))
            .await
            .len()
            == EACH
    })
    .await;
    // Whatever were in the dead-letter topic is delivered by then too.
    gateway.wait_for_metric(QUEUED, &[], 0).await;
    let dead = bulk(&gateway, "undertaker", |n| format!("seen:event-{n}")).await;
    assert_eq!(dead, BTreeSet::new());
}

/// Makes this client's share of the calls, each until it is acknowledged.
async fn run_client(work: Arc<Work>, client: usize) {
    let mut address = work.address.clone();
    for n in (client / 2..EACH).step_by(CLIENTS / 2) {
        let (path, body) = if client.is_multiple_of(2) {
            let items = json!([{ "key": format!("save-{n}"), "value": n }]);
            ("/v1.0/state/statestore".to_owned(), items.to_string())
        } else {
            let path = format!("/v1.0/publish/pubsub/orders?metadata.cloudevent.id=event-{n}");
            (path, n.to_string())
        };
        loop {
            let at = *address.wait_for(Option::is_some).await.unwrap();
            if post(at.unwrap(), &path, &body).await == Some(204) {
                break;
            }
            work.failed.fetch_add(1, Ordering::Relaxed);
        }
        work.acknowledged.fetch_add(1, Ordering::Relaxed);
    }
}

/// A call by the package `shop`; none when the gateway ended on the way.
async fn post(address: SocketAddr, path: &str, body: &str) -> Option<u16> {
    let stream = TcpStream::connect(address).await.ok()?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(connection);
    let request = http::Request::post("/shop")
        .header("host", "shop")
        .header("x-call", path)
        .body(full(body.to_owned()))
        .unwrap();
    Some(sender.send_request(request).await.ok()?.status().as_u16())
}

/// Those of a package's keys that have a value.
async fn bulk(gateway: &TestGateway, package: &str, key: impl Fn(usize) -> String) -> BTreeSet<String> {
    let keys: Vec<String> = (0..EACH).map(key).collect();
    let body = json!({ "keys": keys }).to_string();
    let path = "/v1.0/state/statestore/bulk";
    let found = gateway
        .call(package, "POST", path, body)
        .await
        .is(200)
        .json();
    let found = found.as_array().unwrap().iter();
    found
        .filter(|item| item.get("data").is_some_and(|data| !data.is_null()))
        .map(|item| item["key"].as_str().unwrap().to_owned())
        .collect()
}

fn random(below: usize) -> usize {
    let (bits, _) = uuid::Uuid::new_v4().as_u64_pair();
    usize::try_from(bits).unwrap() % below
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_that_compete_by_etag_all_count() {
    const WRITERS: usize = 64;
    const EACH: usize = 4;
    let gateway = TestGateway::builder()
        .guest_with("counts_up", r#"dapr = { state = ["statestore"] }"#)
        .start();
    let writers = (0..WRITERS).map(|_| async {
        let mut again = 0;
        for _ in 0..EACH {
            let reply = gateway.post("/counts-up", "").await.is(200);
            again += reply.text().parse::<usize>().unwrap();
        }
        again
    });
    let again: usize = join_all(writers).await.into_iter().sum();
    println!("{WRITERS} writers lost {again} races");
    let count = gateway.get("/counts-up").await.is(200);
    assert_eq!(count.json(), json!(WRITERS * EACH));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_wait_at_an_orderly_end_are_delivered_after_the_next_start() {
    let shop = r#"dapr = { publish = ["pubsub/*"] }"#;
    let builder = TestGateway::builder()
        .guest_as("shop", "calls_dapr", shop)
        .guest_as("taker", "takes_deliveries", SUBSCRIBES);
    let folder = TempDir::new().unwrap();
    let mut gateway = builder.start_in(folder.path());
    gateway.ready().await;
    let publish = (0..100).map(|n| {
        let path = format!("/v1.0/publish/pubsub/orders?metadata.cloudevent.id=event-{n}");
        let gateway = &gateway;
        async move { gateway.call("shop", "POST", &path, "x").await.is(204) }
    });
    join_all(publish).await;
    gateway.signal(Signal::Terminate);
    assert_eq!(gateway.ended().await.code(), Some(0));
    let gateway = builder.start_in(folder.path());
    for n in 0..100 {
        gateway.delivery("taker", &format!("event-{n}")).await;
    }
    gateway.wait_for_metric(QUEUED, &[], 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_and_a_lock_outlive_the_process() {
    let grants = r#"dapr = { state = ["statestore"], jobs = true, lock = ["lockstore"] }"#;
    let builder = TestGateway::builder().guest_as("taker", "takes_deliveries", grants);
    let folder = TempDir::new().unwrap();
    let mut gateway = builder.start_in(folder.path());
    let job = r#"{"dueTime": "300ms", "data": 1}"#;
    gateway
        .call("taker", "POST", "/v1.0/jobs/refund", job)
        .await
        .is(204);
    let claim = r#"{"resourceId": "till", "lockOwner": "a", "expiryInSeconds": 600}"#;
    let lock = "/v1.0-alpha1/lock/lockstore";
    gateway.call("taker", "POST", lock, claim).await.is(200);
    gateway.kill();
    let gateway = builder.start_in(folder.path());
    gateway.delivery("taker", "/job/refund").await;
    let claim = claim.replace("\"a\"", "\"b\"");
    let claimed = gateway.call("taker", "POST", lock, claim).await.is(200);
    assert_eq!(claimed.json(), json!({ "success": false }));
}
