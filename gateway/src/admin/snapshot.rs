//! Metrics that are computed when they are scraped: queues, packages, readiness.

use std::time::{SystemTime, UNIX_EPOCH};

use wasmgate_dapr::{QueueDepth, Usage};

use super::{Status, ready};
use crate::metrics::Family;

/// All metrics, as of now.
pub(super) async fn take(status: &Status) -> Vec<Family> {
    let mut families = vec![ready(status), log()];
    families.extend(status.reload_metrics());
    families.extend(status.certificate_metrics());
    if let Some(gateway) = status.gateway() {
        let (loaded, bytes) = gateway.loaded_packages().loaded();
        let unavailable = gateway.packages().iter();
        let unavailable = unavailable.filter(|package| package.unavailable().is_some());
        let registered = gateway.packages().len();
        let registry = gateway.shared().loader.registry();
        let stale = gateway.packages().iter().filter(|package| {
            let pulled = package
                .registered
                .as_ref()
                .and_then(|registered| registered.pulled.as_ref());
            pulled.is_some_and(|pulled| registry.trouble(&pulled.reference).is_some())
        });
        let stale = stale.count();
        families.push(
            Family::gauge(
                "wasmgate_packages",
                "Packages by state: registered, and of these loaded, unavailable, and stale (their tag could not be looked up)",
            )
            .with(&[("state", "registered")], registered as f64)
            .with(&[("state", "loaded")], loaded as f64)
            .with(&[("state", "unavailable")], unavailable.count() as f64)
            .with(&[("state", "stale")], stale as f64),
        );
        families
            .push(Family::gauge("wasmgate_loaded_code_bytes", "Size of loaded compiled code").with(&[], bytes as f64));
    }
    if let Some(blocks) = status.building_blocks() {
        families.extend(queues(&blocks.queues().await));
        if let Some(embedded) = blocks.embedded() {
            families.extend(quotas(&embedded.usage().await));
            let help = "Circuits of the embedded building blocks' circuit breakers, by policy and state";
            let mut circuits = Family::gauge("wasmgate_circuits", help);
            for ((app_id, policy, state), count) in embedded.circuits() {
                let labels = [
                    ("app_id", app_id.as_str()),
                    ("policy", &policy),
                    ("state", state),
                ];
                circuits.show(&labels, count as f64);
            }
            families.push(circuits);
            let help = "Writes of the embedded building blocks that wait for the database";
            let waiting = embedded.waiting_writes() as f64;
            families.push(Family::gauge("wasmgate_dapr_waiting_writes", help).with(&[], waiting));
        }
        if let Some(is_there) = blocks.is_sidecar_reachable() {
            let help = "1 while the sidecar answers, otherwise 0";
            let value = f64::from(u8::from(is_there));
            families.push(Family::gauge("wasmgate_sidecar_ready", help).with(&[], value));
        }
    }
    families
}

/// Usage and limits of quotas, without packages that store nothing.
fn quotas(usage: &[Usage]) -> [Family; 3] {
    let mut used = Family::gauge(
        "wasmgate_dapr_quota_used",
        "Bytes or items that an app stores in the embedded building blocks, by quota",
    );
    let mut limit = Family::gauge("wasmgate_dapr_quota_limit", "The limit of the quota");
    let mut refused = Family::counter(
        "wasmgate_dapr_quota_refusals_total",
        "Writes that were refused because the quota was used up",
    );
    for of in usage {
        let labels = [("app_id", &*of.app_id), ("quota", of.quota)];
        used.show(&labels, of.used as f64);
        limit.show(&labels, of.limit as f64);
        refused.show(&labels, of.refused as f64);
    }
    [used, limit, refused]
}

fn ready(status: &Status) -> Family {
    let unready = ready::conditions(status).iter().any(|found| found.unready);
    Family::gauge("wasmgate_ready", "1 while /readyz answers 200, otherwise 0").with(&[], f64::from(u8::from(!unready)))
}

fn log() -> Family {
    Family::counter(
        "wasmgate_log_dropped_lines_total",
        "Log lines that were dropped because the reader is too slow",
    )
    .with(&[], crate::log::dropped_lines() as f64)
}

/// Depth and age of all queues, whose number is bounded by the subscriptions.
fn queues(queues: &[QueueDepth]) -> [Family; 2] {
    let mut depth = Family::gauge(
        "wasmgate_dapr_queued_events",
        "Events of the embedded pub/sub that wait for their subscriber, or are parked because their retries are used up",
    );
    let mut age = Family::gauge(
        "wasmgate_dapr_oldest_event_age_seconds",
        "Age of the oldest of these events, or 0",
    );
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0.0, |since| since.as_secs_f64());
    for queue in queues {
        for (state, events, oldest) in [
            ("waiting", queue.waiting, queue.oldest_waiting),
            ("parked", queue.parked, queue.oldest_parked),
        ] {
            let labels = [
                ("app_id", &*queue.app_id),
                ("pubsub", &*queue.pubsub),
                ("topic", &*queue.topic),
                ("state", state),
            ];
            depth.show(&labels, events as f64);
            let since = oldest.map_or(0.0, |at| (now - at as f64 / 1000.0).max(0.0));
            age.show(&labels, since);
        }
    }
    [depth, age]
}
