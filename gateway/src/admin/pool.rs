//! The memory pool's own figures, taken when they are looked at.

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGaugeVec, Opts};
use wasmgate_pool::{Pool, Usage};

/// Shows a pool on `/metrics`.
pub struct PoolCollector {
    pool: Pool,
    slots: IntGaugeVec,
    resident_bytes: IntGaugeVec,
    events: IntGaugeVec,
    method: IntGaugeVec,
}

impl PoolCollector {
    /// A collector for one pool.
    ///
    /// # Errors
    /// When a name is no metric name: a mistake in this file.
    pub fn new(pool: Pool) -> prometheus::Result<Self> {
        let gauges = |name, help, labels: &[&str]| IntGaugeVec::new(Opts::new(name, help), labels);
        Ok(Self {
            pool,
            slots: gauges(
                "wasmgate_pool_slots",
                "Slots of the pool by state",
                &["kind", "state"],
            )?,
            resident_bytes: gauges(
                "wasmgate_pool_warm_resident_bytes",
                "What idle slots keep resident, at most",
                &["kind"],
            )?,
            events: gauges(
                "wasmgate_pool_events_total",
                "What happened to slots",
                &["kind", "event"],
            )?,
            method: gauges(
                "wasmgate_pool_reset_method",
                "1 for the method by which returned memory is found clean",
                &["method"],
            )?,
        })
    }

    fn gauges(&self) -> [&IntGaugeVec; 4] {
        [
            &self.slots,
            &self.resident_bytes,
            &self.events,
            &self.method,
        ]
    }

    fn show(&self, kind: &str, usage: &Usage) {
        let set = |gauges: &IntGaugeVec, labels: &[&str], value: u64| {
            gauges
                .with_label_values(labels)
                .set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        set(&self.slots, &[kind, "limit"], usage.limit as u64);
        set(&self.slots, &[kind, "live"], usage.live as u64);
        set(&self.slots, &[kind, "warm"], usage.warm as u64);
        set(
            &self.resident_bytes,
            &[kind],
            usage.warm_resident_bytes as u64,
        );
        let events = &usage.events;
        for (event, count) in [
            ("reused", events.reused),
            ("created", events.created),
            ("released", events.released),
            ("condemned", events.condemned),
            ("shrunk", events.shrunk),
            ("reset", events.resets),
            ("pages_zeroed", events.pages_zeroed),
            ("over_budget", events.over_budget),
            ("fallback", events.fallbacks.total()),
        ] {
            set(&self.events, &[kind, event], count);
        }
    }
}

impl Collector for PoolCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.gauges()
            .into_iter()
            .flat_map(Collector::desc)
            .collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let metrics = self.pool.metrics();
        self.show("memory", &metrics.memories);
        self.show("stack", &metrics.stacks);
        self.method
            .with_label_values(&[metrics.reset_method.name()])
            .set(1);
        self.gauges()
            .into_iter()
            .flat_map(Collector::collect)
            .collect()
    }
}
