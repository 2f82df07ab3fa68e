//! Whether the sidecar is there and has subscribed for the packages, asked again and again.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Weak,
        atomic::Ordering::{Acquire, Release},
    },
    time::{Duration, Instant},
};

use axum::body::{Body, Bytes};
use http::Request;
use serde::Deserialize;
use tokio::time::{sleep, timeout};

use super::{Shared, whole};

/// Between two questions: a sidecar that went away is noticed within about this time.
const PERIOD: Duration = Duration::from_millis(500);

/// Between two questions while it is about to subscribe: a start takes as much longer.
const STARTING_PERIOD: Duration = Duration::from_millis(50);

/// What a healthy sidecar needs at most.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a start waits for the sidecar's subscriptions before it is ready without them: some components take long to
/// connect, and packages that need none of them should be served.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// How long a start waits for a sidecar that is not there at all.
const ABSENT_PATIENCE: Duration = Duration::from_secs(1);

/// How long an event waits for the sidecar to subscribe for the packages that are to get it.
const PUBLISH_PATIENCE: Duration = Duration::from_secs(10);

/// Whether requests should come, and what is amiss.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// Whether requests should come.
    pub ready: bool,
    /// The sidecar answers its health check.
    pub reachable: bool,
    /// What is amiss, in words; there may be something though requests should come.
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

impl Shared {
    /// Holds an event back while a sidecar that is there has yet to subscribe for the packages that are to get it, since
    /// some brokers keep nothing for subscribers to come.
    pub(super) async fn wait_for_subscribers(&self, pubsub: &str, topic: &str) {
        let mut subscribed = self.subscribed.subscribe();
        let is_known = *self.asked.borrow();
        let is_wanted = !is_known || self.fan_out.read().has_topic(pubsub, topic);
        if *subscribed.borrow() || !is_wanted || !*self.healthy.borrow() {
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

/// Whether the sidecar answers; `outbound` does not wait for the app: with it, the start order does not matter.
async fn is_healthy(shared: &Shared, path: &str) -> bool {
    get(shared, path).await.is_some()
}

/// A subscription as the sidecar lists it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Listed {
    #[serde(default)]
    pub(super) pubsubname: String,
    #[serde(default)]
    pub(super) topic: String,
    #[serde(default)]
    pub(super) rules: Vec<Rule>,
}

/// Where events of a subscription go.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Rule {
    #[serde(default)]
    pub(super) path: String,
}

/// How long what the sidecar listed holds for events of subscriptions that it declares.
const LISTED_FOR: Duration = Duration::from_secs(5);

/// The subscriptions that the sidecar lists; none if it does not answer.
pub(super) async fn listed(shared: &Shared) -> Option<Arc<Vec<Listed>>> {
    if let Some((at, listed)) = &*shared.listed.lock()
        && at.elapsed() < LISTED_FOR
    {
        return Some(listed.clone());
    }
    let now = Arc::new(ask_for_subscriptions(shared).await?);
    *shared.listed.lock() = Some((Instant::now(), now.clone()));
    Some(now)
}

async fn ask_for_subscriptions(shared: &Shared) -> Option<Vec<Listed>> {
    #[derive(Deserialize)]
    struct Metadata {
        #[serde(default)]
        subscriptions: Vec<Listed>,
    }
    let body = get(shared, "/v1.0/metadata").await?;
    let metadata: Metadata = serde_json::from_slice(&body).ok()?;
    Some(metadata.subscriptions)
}

/// Whether the sidecar is through with its start and lists every subscription of the packages.
async fn has_subscribed(shared: &Shared) -> bool {
    if !*shared.asked.borrow() {
        return false;
    }
    let wanted = shared.fan_out.read().topics();
    if wanted.is_empty() {
        return true;
    }
    let Some(listed) = ask_for_subscriptions(shared).await else {
        return false;
    };
    let listed: BTreeSet<_> = listed
        .into_iter()
        .map(|listed| (listed.pubsubname, listed.topic))
        .collect();
    // It lists them a moment before it subscribes; its own start ends after that.
    wanted.is_subset(&listed) && is_healthy(shared, "/v1.0/healthz").await
}

/// The body of a good answer.
async fn get(shared: &Shared, path: &str) -> Option<Bytes> {
    let request = Request::get(path).body(Body::empty()).ok()?;
    let answer = async {
        let response = shared.send_quietly(request).await.ok()?;
        let good = response.status().is_success();
        let body = whole(response.into_body()).await.ok()?;
        good.then_some(body)
    };
    timeout(PATIENCE, answer).await.ok().flatten()
}
