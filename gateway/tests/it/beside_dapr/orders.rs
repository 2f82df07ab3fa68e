//! Orders by any number of clients.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use http::StatusCode;
use tokio::task::JoinSet;

use super::street::Street;
use crate::coffee_shop::shop::{any_order, id_of, try_place};

/// Orders of each run.
const ORDERS: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_orders_by_one_eight_and_thirty_two_clients_are_all_fulfilled() {
    if !wasmgate_real_dapr::there() {
        return;
    }
    let street = Street::open().await;
    let mut all = Vec::new();
    for clients in [1, 8, 32] {
        let start = Instant::now();
        let client = Clients::start(street.address(), clients, &format!("by {clients}"), ORDERS);
        let (ids, refused) = client.done().await;
        let taken = start.elapsed();
        let ends = street.ends(&ids).await;
        println!(
            "{ORDERS} orders by {clients} clients: taken in {taken:.1?}, made in {:.1?}: {ends:?}, {refused} refused",
            start.elapsed()
        );
        assert_eq!(refused, 0, "nothing was in the way");
        all.extend(ids);
        street.has_made_exactly(&all).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_of_the_first_moment_are_made_though_pubsub_keeps_nothing_for_later_subscribers() {
    if !wasmgate_real_dapr::there() {
        return;
    }
    let street = Street::open_with("pubsub.in-memory").await;
    let clients = Clients::start(street.address(), 4, "at once", 12);
    let (ids, _) = clients.done().await;
    street.has_made_exactly(&ids).await;
}

/// Clients that each place one order after the other, each until it is taken.
pub(super) struct Clients {
    running: JoinSet<Vec<String>>,
    taken: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
}

impl Clients {
    /// Starts clients that together place so many orders, under keys of this run.
    pub(super) fn start(gateway: SocketAddr, clients: usize, run: &str, orders: usize) -> Self {
        let (taken, refused) = <(Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let mut running = JoinSet::new();
        for client in 0..clients {
            let (taken, refused) = (Arc::clone(&taken), Arc::clone(&refused));
            let run = run.to_owned();
            running.spawn(async move {
                let mut ids = Vec::new();
                for number in (client..orders).step_by(clients) {
                    let key = format!("{run}: {number}");
                    ids.push(place(gateway, &key, number, &refused).await);
                    taken.fetch_add(1, Ordering::Relaxed);
                }
                ids
            });
        }
        Self {
            running,
            taken,
            refused,
        }
    }

    /// Waits until so many orders are taken.
    pub(super) async fn have_placed(&self, orders: usize) {
        crate::harness::until(&format!("{orders} orders"), async || {
            self.taken.load(Ordering::Relaxed) >= orders
        })
        .await;
    }

    /// The ids of all orders, each of its own, and how many answers were no order.
    pub(super) async fn done(self) -> (Vec<String>, usize) {
        let mut ids = self.running.join_all().await.concat();
        let all = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), all, "no two orders are one");
        (ids, self.refused.load(Ordering::Relaxed))
    }
}

/// Places an order, again and again under its key until it is taken, as a client does whose answer says to try again.
async fn place(gateway: SocketAddr, key: &str, number: usize, refused: &AtomicUsize) -> String {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let reply = try_place(gateway, key, &any_order(number)).await;
        match reply {
            Some(reply) if reply.status == StatusCode::ACCEPTED => return id_of(&reply),
            reply => {
                refused.fetch_add(1, Ordering::Relaxed);
                let told = reply.map(|reply| (reply.status, reply.text()));
                assert!(
                    Instant::now() < deadline,
                    "order {key} was never taken: {told:?}"
                );
                // Not at once, or the clients do nothing but be refused while a process starts.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
