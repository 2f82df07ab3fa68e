//! Whatever ends in the middle of orders and comes back: what was acknowledged is neither lost nor refunded nor
//! doubled.

use std::time::Instant;

use super::{orders::Clients, street::Street};

/// Orders while something ends.
const ORDERS: usize = 120;

/// Clients that place them.
const CLIENTS: usize = 8;

/// Places orders, and lets `crash` happen each time a third more of them is taken; the last third comes after it.
async fn orders_through(name: &str, crash: impl AsyncFn(&mut Street)) {
    if !wasmgate_real_dapr::there() {
        return;
    }
    let mut street = Street::open().await;
    let start = Instant::now();
    let clients = Clients::start(street.address(), CLIENTS, name, ORDERS);
    for third in 1..=2 {
        clients.have_placed(third * ORDERS / 3).await;
        crash(&mut street).await;
    }
    let (ids, refused) = clients.done().await;
    let taken = start.elapsed();
    street.gateway.ready().await;
    let ends = street.ends(&ids).await;
    println!(
        "{ORDERS} orders through {name}, twice: taken in {taken:.1?}, made in {:.1?}: {ends:?}, {refused} answers were \
         no order",
        start.elapsed()
    );
    street.has_made_exactly(&ids).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_outlive_the_sudden_end_of_the_gateway() {
    orders_through("SIGKILL of the gateway", async |street| {
        street.kill_the_gateway();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_outlive_the_sudden_end_of_the_sidecar() {
    orders_through("SIGKILL of daprd", async |street| {
        street.daprd.kill();
        street.daprd.start().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_outlive_the_sudden_end_of_redis() {
    orders_through("SIGKILL of Redis", async |street| {
        street.redis.kill();
        street.redis.restart().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_outlive_a_crash_of_postgresql() {
    orders_through("a crash of PostgreSQL", async |street| {
        street.postgres.crash();
        street.postgres.restart().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_outlive_the_sudden_end_of_the_scheduler() {
    orders_through("SIGKILL of the scheduler", async |street| {
        street.scheduler.kill();
        street.scheduler.restart().await;
    })
    .await;
}
