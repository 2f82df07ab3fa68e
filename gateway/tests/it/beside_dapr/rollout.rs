//! A rollout of two replicas under load: each gateway ends as a pod does, and nothing is noticed of it.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{task::JoinSet, time::interval};

use super::street::Street;
use crate::coffee_shop::shop::{any_order, id_of, try_place};

/// The time between two orders: six a second.
const PERIOD: Duration = Duration::from_millis(166);

/// Orders that are placed while a pod is out of the Service and serves still, as `preStop` of the overlay has it:
/// clients that have its address come meanwhile.
const STILL_SERVED: usize = 6;

/// Clients that place orders at a steady rate, each at one of the pods that the Service names, and try none again.
struct Load {
    pods: Arc<Mutex<Vec<SocketAddr>>>,
    has_ended: Arc<AtomicBool>,
    placed: tokio::task::JoinHandle<Vec<Option<String>>>,
    number: Arc<AtomicUsize>,
}

impl Load {
    fn start(pods: &[SocketAddr]) -> Self {
        let pods = Arc::new(Mutex::new(pods.to_vec()));
        let (has_ended, number) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicUsize::new(0)),
        );
        let (service, stop, count) = (
            Arc::clone(&pods),
            Arc::clone(&has_ended),
            Arc::clone(&number),
        );
        let placed = tokio::spawn(async move {
            let mut orders = JoinSet::new();
            let mut clock = interval(PERIOD);
            while !stop.load(Ordering::Acquire) {
                clock.tick().await;
                let number = count.fetch_add(1, Ordering::AcqRel);
                let pods = service.lock().unwrap().clone();
                let pod = pods[number % pods.len()];
                orders.spawn(async move {
                    let reply = try_place(pod, &format!("rollout {number}"), &any_order(number)).await;
                    match reply {
                        Some(reply) if reply.status == 202 => Some(id_of(&reply)),
                        other => {
                            eprintln!(
                                "order {number}: {:?}",
                                other.map(|reply| (reply.status, reply.text()))
                            );
                            None
                        }
                    }
                });
            }
            orders.join_all().await
        });
        Self {
            pods,
            has_ended,
            placed,
            number,
        }
    }

    /// Waits until so many more orders have been placed.
    async fn goes_on(&self, orders: usize) {
        let wanted = self.number.load(Ordering::Acquire) + orders;
        crate::harness::until("orders", async || {
            self.number.load(Ordering::Acquire) >= wanted
        })
        .await;
    }

    fn replace(&self, old: SocketAddr, new: SocketAddr) {
        let mut pods = self.pods.lock().unwrap();
        pods.retain(|pod| *pod != old);
        pods.push(new);
    }

    /// The ids of all orders, and how many were not taken.
    async fn end(self) -> (Vec<String>, usize) {
        self.has_ended.store(true, Ordering::Release);
        let placed = self.placed.await.unwrap();
        let failed = placed.iter().filter(|id| id.is_none()).count();
        (placed.into_iter().flatten().collect(), failed)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_of_two_replicas_at_six_orders_a_second_loses_refunds_and_doubles_none() {
    if !wasmgate_real_dapr::there() {
        return;
    }
    let mut street = Street::open().await;
    let mut other = street.replica().await;
    let load = Load::start(&[street.address(), other.address()]);
    load.goes_on(12).await;
    for round in 0..4 {
        // As the overlay's `maxSurge: 1` and `maxUnavailable: 0`: the new one is ready before the old one goes.
        let new = street.replica().await;
        let address = new.address();
        let old = match round % 2 {
            0 => street.exchange(new),
            _ => std::mem::replace(&mut other, new),
        };
        load.replace(old.address(), address);
        load.goes_on(STILL_SERVED).await;
        let log = old.end().await;
        assert!(
            !log.contains("has not asked often enough"),
            "the sidecar did not notice: {log}"
        );
        load.goes_on(6).await;
    }
    let (ids, failed) = load.end().await;
    let ends = street.ends(&ids).await;
    println!(
        "{} orders through a rollout of two replicas, twice: {ends:?}, {failed} failed",
        ids.len()
    );
    assert_eq!(failed, 0);
    street.has_made_exactly(&ids).await;
}
