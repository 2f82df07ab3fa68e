//! The metric families of the engines.

use prometheus::proto::MetricFamily;

use super::{EngineKind, SlotUse};
use crate::metrics::Family;

/// The engines' families.
pub(super) struct Families {
    pub(super) slots: Family,
    pub(super) resident: Family,
    pub(super) events: Family,
    pub(super) refusals: Family,
    pub(super) method: Family,
}

impl Families {
    pub(super) fn new() -> Self {
        Self {
            slots: Family::gauge(
                "wasmgate_pool_slots",
                "Slots for memories, stacks and the like, by engine and state: limit, in use, idle",
            ),
            resident: Family::gauge(
                "wasmgate_pool_warm_resident_bytes",
                "Resident memory of idle slots, at most",
            ),
            events: Family::counter("wasmgate_pool_events_total", "Events of slots"),
            refusals: Family::counter(
                "wasmgate_pool_refusals_total",
                "Memories and stacks that the pool could not provide, by cause",
            ),
            method: Family::gauge(
                "wasmgate_pool_reset_method",
                "1 for the method that is used to reset returned memory",
            ),
        }
    }

    pub(super) fn slots(&mut self, engine: EngineKind, kind: &str, states: [(&str, usize); 3]) {
        for (state, slots) in states {
            let labels = [("engine", engine.name()), ("kind", kind), ("state", state)];
            self.slots.show(&labels, slots as f64);
        }
    }

    pub(super) fn copy_on_write(&mut self, slots: &SlotUse) {
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

    pub(super) fn done(self) -> Vec<MetricFamily> {
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
