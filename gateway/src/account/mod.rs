//! The account of a package: what its instances may use (configuration, grants, permits, log lines) and what they have
//! used (metrics). It does not depend on code, so that instances and what they call can depend on it.

mod blobs;
mod files;
mod kept;
mod log_budget;
pub(crate) mod queue;

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::{Notify, Semaphore};

use crate::{
    admission::Permits,
    config::{PackageConfig, PackageName},
    machine_memory::{MachineMemory, PackageMemory},
    metrics::{Metrics, PackageMetrics},
};
use log_budget::LogBudget;

pub(crate) use blobs::{Blobs, Container, Part};
pub(crate) use files::{Files, OpenFolders, with_files};
pub(crate) use kept::{Charge, Kept};

/// Names that one package may have looked up at once, of all that are: names that its guests choose, under a wildcard,
/// may have servers that are silent, and other packages' names are looked up beside them.
const LOOKUPS: usize = 16;

/// A package as its instances know it.
pub(crate) struct Account {
    /// The package's configuration.
    pub config: PackageConfig,
    /// The memory that its instances reserve.
    pub memory: Arc<PackageMemory>,
    /// The permits of its instances.
    pub admission: Permits,
    /// The permits of requests that its instances have under way to other origins.
    pub outbound: Permits,
    /// The permits for looking names up for them.
    pub lookups: Arc<Semaphore>,
    /// The part of the log that its guests may still fill.
    pub log: Arc<LogBudget>,
    /// The folders that its guests may read.
    pub files: Files,
    /// The containers of its blobs.
    pub blobs: Blobs,
    metrics: (Arc<Metrics>, OnceLock<PackageMetrics>),
    is_cut: AtomicBool,
    cut: Notify,
}

impl Account {
    /// An account of which nothing is used, for up to so many `instances` at once, whose memory is a part of `memory`.
    pub(crate) fn new(
        config: PackageConfig,
        instances: usize,
        memory: &Arc<MachineMemory>,
        metrics: &Arc<Metrics>,
    ) -> Self {
        Self {
            memory: Arc::new(PackageMemory::new(Arc::clone(memory))),
            admission: Permits::new(instances),
            outbound: Permits::new(config.limits.outbound_concurrency),
            lookups: Arc::new(Semaphore::new(LOOKUPS)),
            config,
            log: Arc::new(LogBudget::new()),
            files: Files::default(),
            blobs: Blobs::default(),
            is_cut: AtomicBool::new(false),
            cut: Notify::new(),
            metrics: (Arc::clone(metrics), OnceLock::new()),
        }
    }

    /// The account of the same package under another configuration: what is taken stays taken.
    pub(crate) fn successor(&self, config: PackageConfig) -> Self {
        Self {
            memory: Arc::clone(&self.memory),
            admission: self.admission.clone(),
            outbound: self.outbound.clone(),
            lookups: Arc::clone(&self.lookups),
            log: Arc::clone(&self.log),
            files: Files::default(),
            blobs: Blobs::default(),
            config,
            metrics: (Arc::clone(&self.metrics.0), OnceLock::new()),
            is_cut: AtomicBool::new(false),
            cut: Notify::new(),
        }
    }

    /// Has the limits of this account hold from now on, also for the instances of accounts before it; it may have so
    /// many `instances`.
    pub(crate) fn hold_limits(&self, instances: usize) {
        self.admission.set_limit(instances);
        self.outbound
            .set_limit(self.config.limits.outbound_concurrency);
    }

    /// Ends the instances that still run on this account.
    pub(crate) fn cut(&self) {
        self.is_cut.store(true, Ordering::Release);
        self.cut.notify_waiters();
    }

    /// Returns when they are to end.
    pub(crate) async fn until_cut(&self) {
        // Made before the look: no word is missed between the two.
        let cut = self.cut.notified();
        if !self.is_cut.load(Ordering::Acquire) {
            cut.await;
        }
    }

    /// The package's name, which is its app-id.
    pub(crate) fn name(&self) -> &PackageName {
        &self.config.name
    }

    /// Returns whether the log takes a line of the gateway's own about what a guest did: one that does it in a loop has
    /// no more room there than one that prints.
    pub(crate) fn may_log(&self) -> bool {
        let may = self.log.admits(0);
        if !may {
            self.log.dropped(1);
            self.metrics().output_dropped.inc();
        }
        may
    }

    /// The package's metrics; made when first asked for, so that a package nobody asks for costs little.
    pub(crate) fn metrics(&self) -> &PackageMetrics {
        let (all, own) = &self.metrics;
        own.get_or_init(|| all.package(self.name().as_str(), &self.admission))
    }
}
