//! Metrics of the engines, computed when they are scraped: slots and memory of the pool and of the copy-on-write
//! engine, under the same names.

use std::sync::Arc;

use prometheus::{
    core::{Collector, Desc},
    proto::MetricFamily,
};

use super::{Engines, families::Families};
use crate::metrics::description;

/// Exposes the engines on `/metrics`.
pub(crate) struct EngineCollector {
    engines: Arc<Engines>,
    description: Desc,
}

impl EngineCollector {
    /// A collector for the engines of one gateway.
    ///
    /// # Errors
    /// When a metric name is invalid: a bug.
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
        self.engines.show_pool(&mut families);
        for kind in self.engines.copy_on_write_slots() {
            families.copy_on_write(&kind);
        }
        families.done()
    }
}
