//! The account of a package: what its instances may use (configuration, grants, permits, log lines) and what they have
//! used (metrics). It does not depend on code, so that instances and what they call can depend on it.

mod blobs;
mod files;
mod kept;
mod log_budget;
pub(crate) mod queue;
mod threads;

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
pub(crate) use threads::{ThreadPlace, Threads, Work};

/// How many concurrent lookups one package may have: under a wildcard guests choose names, whose servers may be silent,
/// and other packages' lookups must not wait for them.
const LOOKUPS: usize = 16;

/// A package as its instances know it.
pub(crate) struct Account {
    /// The package's configuration.
    pub config: PackageConfig,
    /// The memory that its instances reserve.
    pub memory: Arc<PackageMemory>,
    /// The permits of its instances.
    pub admission: Permits,
    /// The permits for outgoing requests in flight.
    pub outbound: Permits,
    /// The permits for name lookups.
    pub lookups: Arc<Semaphore>,
    /// The threads that wait for the disk for its guests.
    pub threads: Threads,
    /// Its log budget.
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
    /// A new account for up to `instances` instances at once, whose memory is a part of `memory`.
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
            threads: Threads::default(),
            config,
            log: Arc::new(LogBudget::new()),
            files: Files::default(),
            blobs: Blobs::default(),
            is_cut: AtomicBool::new(false),
            cut: Notify::new(),
            metrics: (Arc::clone(metrics), OnceLock::new()),
        }
    }

    /// The account of the same package under another configuration; permits and reservations are shared.
    pub(crate) fn successor(&self, config: PackageConfig) -> Self {
        Self {
            memory: Arc::clone(&self.memory),
            admission: self.admission.clone(),
            outbound: self.outbound.clone(),
            lookups: Arc::clone(&self.lookups),
            threads: self.threads.clone(),
            log: Arc::clone(&self.log),
            files: Files::default(),
            blobs: Blobs::default(),
            config,
            metrics: (Arc::clone(&self.metrics.0), OnceLock::new()),
            is_cut: AtomicBool::new(false),
            cut: Notify::new(),
        }
    }

    /// Applies the limits of this account, also to instances of its predecessors, with up to `instances` instances.
    pub(crate) fn hold_limits(&self, instances: usize) {
        self.admission.set_limit(instances);
        self.outbound
            .set_limit(self.config.limits.outbound_concurrency);
    }

    /// Stops the instances that still run on this account.
    pub(crate) fn cut(&self) {
        self.is_cut.store(true, Ordering::Release);
        self.cut.notify_waiters();
    }

    /// Waits until they have to stop.
    pub(crate) async fn until_cut(&self) {
        // Created before the check, so that no notification is missed.
        let cut = self.cut.notified();
        if !self.is_cut.load(Ordering::Acquire) {
            cut.await;
        }
    }

    /// The package's name, which is its app-id.
    pub(crate) fn name(&self) -> &PackageName {
        &self.config.name
    }

    /// Takes a log line of the gateway about a guest's behavior from the package's budget: a guest that misbehaves in a
    /// loop must not flood the log either.
    pub(crate) fn may_log(&self) -> bool {
        let may = self.log.admits(0);
        if !may {
            self.log.dropped(1);
            self.metrics().output_dropped.inc();
        }
        may
    }

    /// The package's metrics; created on first use, so that an unused package costs little.
    pub(crate) fn metrics(&self) -> &PackageMetrics {
        let (all, own) = &self.metrics;
        own.get_or_init(|| all.package(self.name().as_str(), &self.admission))
    }
}
