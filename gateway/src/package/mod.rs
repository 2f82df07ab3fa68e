//! Packages: from a configured source to code that is ready to be instantiated.
//!
//! A package is registered once, at start: its component is compiled then, and refused if it cannot run here. It is
//! loaded on the first request for it, which only maps what registration left on disk.

mod adapt;
mod adapted;
mod batch;
mod binary;
mod cache;
mod check;
pub(crate) mod compiler;
mod error;
mod eviction;
mod image;
mod imports;
mod inventory;
mod lease;
mod loader;
mod pieces;
mod recompile;
mod shipped;
mod snapshot;
mod survey;
mod world;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;

use crate::{
    account::Account,
    config::PackageName,
    instance::{Loaded, Reuse},
};

pub(crate) use batch::Batch;
pub(crate) use compiler::CompileLimits;
pub(crate) use error::PackageError;
pub(crate) use eviction::{Budget, LoadedPackages};
pub use inventory::{Cached, Kind};
pub(crate) use inventory::{Uses, list, prune};
pub(crate) use loader::{Found, Loader, Registered};

/// A registered package: its account, and its compiled code.
pub(crate) struct Package {
    /// Its account.
    pub account: Arc<Account>,
    /// Its compiled code and engine; `None` if its component cannot be served.
    pub registered: Option<Registered>,
    /// Its reusable instances, if it has `reuse`.
    pub reuse: Option<Arc<Reuse>>,
    loaded: ArcSwapOption<Loaded>,
    loading: Mutex<()>,
    unavailable: Mutex<Option<String>>,
    used: AtomicBool,
    /// Set when it is not served any more.
    is_retired: AtomicBool,
}

impl Package {
    /// A registered package that is not loaded.
    pub(crate) fn new(account: Account, registered: Registered) -> Self {
        Self::with(account, Some(registered), None)
    }

    /// A package whose component cannot be served, for this reason.
    pub(crate) fn unfit(account: Account, reason: String) -> Self {
        Self::with(account, None, Some(reason))
    }

    fn with(account: Account, registered: Option<Registered>, unavailable: Option<String>) -> Self {
        let account = Arc::new(account);
        Self {
            reuse: (account.config.reuse > 1).then(|| Reuse::new(&account)),
            account,
            registered,
            loaded: ArcSwapOption::empty(),
            loading: Mutex::new(()),
            unavailable: Mutex::new(unavailable),
            used: AtomicBool::new(false),
            is_retired: AtomicBool::new(false),
        }
    }

    /// Its name.
    pub(crate) fn name(&self) -> &PackageName {
        self.account.name()
    }

    /// The code of this package, loaded on the first call; concurrent callers wait for that one load.
    ///
    /// # Errors
    /// When the compiled code on disk is missing or damaged, and is compiled again in the background; when the machine
    /// does not allow loading it now; or when there is none.
    pub(crate) fn get(
        self: &Arc<Self>,
        loader: &Arc<Loader>,
        loaded_packages: &LoadedPackages,
    ) -> Result<Arc<Loaded>, PackageError> {
        // Read first: an unmodified flag stays in every worker's cache.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
        if let Some(loaded) = self.loaded.load_full() {
            return Ok(loaded);
        }
        let Some(registered) = &self.registered else {
            return Err(PackageError::Unfit);
        };
        let _one_load = self.loading.lock();
        if let Some(loaded) = self.loaded.load_full() {
            return Ok(loaded);
        }
        let loaded = loader.load(registered);
        let loaded = Arc::new(loaded.inspect_err(|error| {
            self.failed(error);
            if matches!(error, PackageError::CodeLost { .. }) {
                loader.recompile(self);
            }
        })?);
        self.recovered();
        self.loaded.store(Some(Arc::clone(&loaded)));
        loaded_packages.admit(Arc::clone(self), loaded.bytes);
        Ok(loaded)
    }

    /// Why it could not be loaded on the last request, if it could not.
    pub(crate) fn unavailable(&self) -> Option<String> {
        self.unavailable.lock().clone()
    }

    fn recovered(&self) {
        if self.unavailable.lock().take().is_some() {
            tracing::info!(package = %self.name(), "the package is available again");
        }
    }

    /// Logs once why the package cannot be loaded, not for each request.
    fn failed(&self, error: &PackageError) {
        let reason = error.to_string();
        let mut unavailable = self.unavailable.lock();
        if unavailable.as_ref() != Some(&reason) {
            tracing::error!(package = %self.name(), error = reason, "the package cannot be loaded");
            *unavailable = Some(reason);
        }
    }

    /// Returns whether it is loaded now.
    pub(crate) fn is_loaded(&self) -> bool {
        self.loaded.load().is_some()
    }

    /// Returns whether it was requested since the last call.
    fn was_used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }

    /// Takes over the loaded code of a package with the same code; false if that is not loaded.
    fn take_code(&self, before: &Self) -> bool {
        let loaded = before.loaded.load_full();
        let is_loaded = loaded.is_some();
        self.loaded.store(loaded);
        is_loaded
    }

    /// Unloads its code, and whatever is loaded for it after this.
    fn retire(&self) {
        self.is_retired.store(true, Ordering::Relaxed);
        if let Some(reuse) = &self.reuse {
            reuse.close();
        }
        self.unload();
    }

    fn is_retired(&self) -> bool {
        self.is_retired.load(Ordering::Relaxed)
    }

    /// Unloads its code, which is dropped with its last instance.
    fn unload(&self) {
        self.loaded.store(None);
        if let Some(reuse) = &self.reuse {
            reuse.forget();
        }
    }
}
