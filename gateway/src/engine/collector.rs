//! The engines' own figures, taken when they are looked at: slots and memory of the pool and of the copy-on-write
//! engine, under the same names.

use std::sync::Arc;

use prometheus::{
    core::{Collector, Desc},
    proto::MetricFamily,
};
use wasmgate_pool::{Refusals, Usage};

use super::{EngineKind, Engines, SlotUse};
use crate::metrics::{Family, description};

/// Shows the engines on `/metrics`.
pub(crate) struct EngineCollector {
    engines: Arc<Engines>,
    description: Desc,
}

impl EngineCollector {
    /// A collector for the engines of one gateway.
    ///
    /// # Errors
    /// When a name is no metric name: a mistake in this file.
    pub(crate) fn new(engines: Arc<Engines>) -> prometheus::Result<Self> {
        Ok(Self {
            engines,
            description: description("wasmgate_pool")?,
        })
    }
}

impl Collector for EngineCollector {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.description]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = Families::new();
        let pool = self.engines.pool().metrics();
        families.pool("memory", &pool.memories);
        families.pool("stack", &pool.stacks);
        families.refusals(&pool.refusals);
        families
            .method
            .show(&[("method", pool.reset_method.name())], 1.0);
        for kind in self.engines.copy_on_write_slots() {
            families.copy_on_write(&kind);
        }
        families.done()
    }
}

struct Families {
    slots: Family,
    resident: Family,
    events: Family,
    refusals: Family,
    method: Family,
}

impl Families {
    fn new() -> Self {
        Self {
            slots: Family::gauge(
                "wasmgate_pool_slots",
                "Slots for memories, stacks and the like, by engine and state: how many there may be, in use, and clean and idle",
            ),
            resident: Family::gauge(
                "wasmgate_pool_warm_resident_bytes",
                "What idle slots keep resident, at most",
            ),
            events: Family::counter("wasmgate_pool_events_total", "What happened to slots"),
            refusals: Family::counter(
                "wasmgate_pool_refusals_total",
                "Memories and stacks that the pool could not give, by cause",
            ),
            method: Family::gauge(
                "wasmgate_pool_reset_method",
                "1 for the method by which returned memory is found clean",
            ),
        }
    }

    fn slots(&mut self, engine: EngineKind, kind: &str, states: [(&str, usize); 3]) {
        for (state, slots) in states {
            let labels = [("engine", engine.name()), ("kind", kind), ("state", state)];
            self.slots.show(&labels, slots as f64);
        }
    }

    fn pool(&mut self, kind: &str, usage: &Usage) {
        let engine = EngineKind::Pool;
        self.slots(
            engine,
            kind,
            [
                ("limit", usage.limit),
                ("live", usage.live),
                ("warm", usage.warm),
            ],
        );
        let labels = [("engine", engine.name()), ("kind", kind)];
        self.resident
            .show(&labels, usage.warm_resident_bytes as f64);
        let events = &usage.events;
        for (event, count) in [
            ("reused", events.reused),
            ("stolen", events.stolen),
            ("evicted", events.evicted),
            ("created", events.created),
            ("released", events.released),
            ("condemned", events.condemned),
            ("leaked", events.leaked),
            ("shrunk", events.shrunk),
            ("reset", events.resets),
            ("pages_zeroed", events.pages_zeroed),
            ("over_budget", events.over_budget),
            ("fallback", events.fallbacks.total()),
        ] {
            let labels = [("engine", engine.name()), ("kind", kind), ("event", event)];
            self.events.show(&labels, count as f64);
        }
    }

    fn refusals(&mut self, refusals: &Refusals) {
        for (reason, count) in [
            ("memories-exhausted", refusals.memories_exhausted),
            ("stacks-exhausted", refusals.stacks_exhausted),
            ("too-large", refusals.too_large),
            ("shared", refusals.shared),
            ("mismatch", refusals.mismatch),
            ("kernel", refusals.kernel),
        ] {
            let labels = [("engine", EngineKind::Pool.name()), ("reason", reason)];
            self.refusals.show(&labels, count as f64);
        }
    }

    fn copy_on_write(&mut self, slots: &SlotUse) {
        let engine = EngineKind::CopyOnWrite;
        self.slots(
            engine,
            slots.kind,
            [
                ("limit", slots.limit),
                ("live", slots.live),
                ("warm", slots.warm),
            ],
        );
        if let Some(bytes) = slots.warm_resident_bytes {
            let labels = [("engine", engine.name()), ("kind", slots.kind)];
            self.resident.show(&labels, bytes as f64);
        }
    }

    fn done(self) -> Vec<MetricFamily> {
        let Self {
            slots,
            resident,
            events,
            refusals,
            method,
        } = self;
        [slots, resident, events, refusals, method]
            .into_iter()
            .filter_map(Family::finish)
            .collect()
    }
}
