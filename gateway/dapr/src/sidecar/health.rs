//! Polls the sidecar's health and subscriptions.

use std::{
    collections::BTreeSet,
    sync::{
        Weak,
        atomic::Ordering::{Acquire, Release},
    },
    time::Duration,
};

use tokio::time::{sleep, timeout};

use super::{listed, shared::Shared, unmet};

/// Between two questions: a sidecar that went away is noticed within about this time.
const PERIOD: Duration = Duration::from_millis(500);

/// Between two questions while it is about to subscribe: a start takes as much longer.
const STARTING_PERIOD: Duration = Duration::from_millis(50);

/// The wait of a start for the sidecar's subscriptions before it is ready without them: some components take long to
/// connect, and packages that need none of them should be served.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// The wait of a start for a sidecar that is not there at all.
const ABSENT_PATIENCE: Duration = Duration::from_secs(1);

/// The wait of an event for the sidecar to subscribe for the packages that are to get it.
const PUBLISH_PATIENCE: Duration = Duration::from_secs(10);

/// The readiness of a gateway beside a sidecar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// Requests should come.
    pub ready: bool,
    /// The sidecar answers its health check.
    pub reachable: bool,
    /// An account of what is amiss; there may be one though requests should come.
    pub detail: Option<String>,
}

pub(super) fn state(shared: &Shared) -> Readiness {
    let reachable = *shared.healthy.borrow();
    let endpoint = &shared.settings.endpoint;
    let detail = if !reachable {
        Some(format!("the sidecar at {endpoint} does not answer"))
    } else if !*shared.subscribed.borrow() {
        Some(format!(
            "the sidecar at {endpoint} has not subscribed to all that the packages subscribe to"
        ))
    } else {
        None
    };
    let was_ready = shared.was_ready.load(Acquire);
    Readiness {
        ready: detail.is_none() || was_ready || shared.started.elapsed() > START_PATIENCE,
        reachable,
        detail,
    }
}

/// Waits until a start may serve requests.
pub(super) async fn settled(shared: &Shared) {
    let (mut healthy, mut subscribed) = (shared.healthy.subscribe(), shared.subscribed.subscribe());
    let all = async {
        let there = timeout(ABSENT_PATIENCE, healthy.wait_for(|healthy| *healthy));
        if there.await.is_ok() {
            drop(subscribed.wait_for(|subscribed| *subscribed).await);
        }
    };
    if timeout(START_PATIENCE, all).await.is_err() {
        tracing::warn!("serving begins although the sidecar has not subscribed for the packages");
    }
}

/// Holds an event back while a sidecar that is there has yet to subscribe for the packages that are to get it, since
/// some brokers keep nothing for subscribers to come.
pub(super) async fn wait_for_subscribers(shared: &Shared, pubsub: &str, topic: &str) {
    let mut subscribed = shared.subscribed.subscribe();
    let is_known = *shared.subscriptions_known.borrow();
    let is_wanted = !is_known || shared.fan_out.load().has_topic(pubsub, topic);
    if *subscribed.borrow() || !is_wanted || !*shared.healthy.borrow() {
        return;
    }
    let waited = timeout(
        PUBLISH_PATIENCE,
        subscribed.wait_for(|subscribed| *subscribed),
    );
    if waited.await.is_err() {
        tracing::warn!(pubsub, topic, "published before the sidecar has subscribed");
    }
}

/// Watches until the last [`super::Sidecar`] is gone.
pub(super) async fn watch(sidecar: Weak<Shared>) {
    while let Some(shared) = sidecar.upgrade() {
        let healthy = is_healthy(&shared, "/v1.0/healthz/outbound").await;
        let changed = shared
            .healthy
            .send_if_modified(|known| std::mem::replace(known, healthy) != healthy);
        if changed {
            let endpoint = &shared.settings.endpoint;
            tracing::info!(%endpoint, healthy, "the Dapr sidecar");
            if healthy {
                unmet::warn(&shared).await;
            }
        }
        let known = *shared.subscribed.borrow();
        let subscribed = healthy && (known && !changed || has_subscribed(&shared).await);
        if subscribed {
            shared.was_ready.store(true, Release);
        }
        if subscribed != known {
            shared.subscribed.send_replace(subscribed);
        }
        let starting = !subscribed && shared.started.elapsed() < START_PATIENCE;
        drop(shared);
        sleep(if starting { STARTING_PERIOD } else { PERIOD }).await;
    }
}

/// Returns whether the sidecar answers; `outbound` does not wait for the app: with it, the start order does not matter.
async fn is_healthy(shared: &Shared, path: &str) -> bool {
    shared.client.get(path).await.is_some()
}

/// Returns whether the sidecar is through with its start and lists every subscription of the packages.
async fn has_subscribed(shared: &Shared) -> bool {
    if !*shared.subscriptions_known.borrow() {
        return false;
    }
    let wanted = shared.fan_out.load().topics();
    if wanted.is_empty() {
        return true;
    }
    let Some(listed) = listed::fetch(&shared.client).await else {
        return false;
    };
    let listed: BTreeSet<_> = listed
        .into_iter()
        .map(|listed| (listed.pubsubname, listed.topic))
        .collect();
    // It lists them a moment before it subscribes; its own start ends after that.
    wanted.is_subset(&listed) && is_healthy(shared, "/v1.0/healthz").await
}
