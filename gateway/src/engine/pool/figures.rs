//! Metrics of the pool.

use wasmgate_pool::{Refusals, Usage};

use super::{
    super::{EngineKind, families::Families},
    Pooled,
};

impl Pooled {
    /// Adds metrics of slots in use, events and refusals.
    pub(in super::super) fn show(&self, families: &mut Families) {
        let pool = self.pool.metrics();
        usage(families, "memory", &pool.memories);
        usage(families, "stack", &pool.stacks);
        refusals(families, &pool.refusals);
        let method = [("method", pool.reset_method.name())];
        families.method.show(&method, 1.0);
    }
}

fn usage(families: &mut Families, kind: &str, usage: &Usage) {
    let engine = EngineKind::Pool;
    families.slots(
        engine,
        kind,
        [
            ("limit", usage.limit),
            ("live", usage.live),
            ("warm", usage.warm),
        ],
    );
    let labels = [("engine", engine.name()), ("kind", kind)];
    families
        .resident
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
        ("later", events.later),
        ("pages_zeroed", events.pages_zeroed),
        ("over_budget", events.over_budget),
        ("unneeded", events.unneeded),
        ("fallback", events.fallbacks.total()),
    ] {
        let labels = [("engine", engine.name()), ("kind", kind), ("event", event)];
        families.events.show(&labels, count as f64);
    }
}

fn refusals(families: &mut Families, refusals: &Refusals) {
    for (reason, count) in [
        ("memories-exhausted", refusals.memories_exhausted),
        ("stacks-exhausted", refusals.stacks_exhausted),
        ("too-large", refusals.too_large),
        ("shared", refusals.shared),
        ("mismatch", refusals.mismatch),
        ("kernel", refusals.kernel),
    ] {
        let labels = [("engine", EngineKind::Pool.name()), ("reason", reason)];
        families.refusals.show(&labels, count as f64);
    }
}
