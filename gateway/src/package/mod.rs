//! Packages: from a file named in the configuration to code that is ready to be instantiated.
//!
//! A package is registered once, at start: that is where its component is compiled, and refused if it cannot run
//! here. It is loaded when a request first asks for it, which only maps what registration left on disk.

mod cache;
mod check;
mod loader;
mod remake;
mod residents;
mod survey;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use wasmgate_common::{Code, Diagnostic, NotPrivate};

use crate::{account::Account, config::PackageName, instance::Loaded};

pub(crate) use loader::{Loader, Registered};
pub(crate) use residents::{Budget, Residents};

/// A registered package: its account, and its compiled code.
pub(crate) struct Package {
    /// What it may use, and what it has used.
    pub account: Arc<Account>,
    /// Its compiled code and the engine for it.
    pub registered: Registered,
    loaded: ArcSwapOption<Loaded>,
    loading: Mutex<()>,
    unavailable: Mutex<Option<String>>,
    used: AtomicBool,
}

impl Package {
    /// A package that is registered and not loaded.
    pub(crate) fn new(account: Account, registered: Registered) -> Self {
        Self {
            account: Arc::new(account),
            registered,
            loaded: ArcSwapOption::empty(),
            loading: Mutex::new(()),
            unavailable: Mutex::new(None),
            used: AtomicBool::new(false),
        }
    }

    /// Its name.
    pub(crate) fn name(&self) -> &PackageName {
        self.account.name()
    }

    /// The code of this package, loaded on the first call; callers that come meanwhile wait for that one load.
    ///
    /// # Errors
    /// When the compiled code on disk is gone or damaged, which is made again in the background, or when the machine
    /// does not let it be loaded now.
    pub(crate) fn get(
        self: &Arc<Self>,
        loader: &Arc<Loader>,
        residents: &Residents,
    ) -> Result<Arc<Loaded>, PackageError> {
        // Read first: a flag that is set already stays in every worker's cache.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
        if let Some(loaded) = self.loaded.load_full() {
            return Ok(loaded);
        }
        let _one_load = self.loading.lock();
        if let Some(loaded) = self.loaded.load_full() {
            return Ok(loaded);
        }
        let loaded = loader.load(&self.registered);
        let loaded = Arc::new(loaded.inspect_err(|error| {
            self.failed(error);
            if matches!(error, PackageError::CodeLost { .. }) {
                loader.make_again(self);
            }
        })?);
        self.recovered();
        self.loaded.store(Some(Arc::clone(&loaded)));
        residents.admit(Arc::clone(self), loaded.bytes);
        Ok(loaded)
    }

    /// Why it could not be loaded when it was last asked for, if it could not.
    pub(crate) fn unavailable(&self) -> Option<String> {
        self.unavailable.lock().clone()
    }

    fn recovered(&self) {
        if self.unavailable.lock().take().is_some() {
            tracing::info!(package = %self.name(), "the package is available again");
        }
    }

    /// Says once what keeps the package from being loaded, not for each of its requests.
    fn failed(&self, error: &PackageError) {
        let reason = error.to_string();
        let mut unavailable = self.unavailable.lock();
        if unavailable.as_ref() != Some(&reason) {
            tracing::error!(package = %self.name(), error = reason, "the package cannot be loaded");
            *unavailable = Some(reason);
        }
    }

    /// Whether it is loaded now.
    pub(crate) fn is_loaded(&self) -> bool {
        self.loaded.load().is_some()
    }

    /// Whether it was asked for since this was last asked.
    fn was_used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }

    /// Lets its code go as soon as the last instance has ended.
    fn unload(&self) {
        self.loaded.store(None);
    }
}

/// Why a package cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// The source cannot be read.
    #[error("{} cannot be read: {error}", path.display())]
    Unreadable {
        /// The file named by `source`.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The source is not WebAssembly at all.
    #[error("{} is not WebAssembly", path.display())]
    NotWasm {
        /// The file named by `source`.
        path: PathBuf,
    },
    /// The source is a core module.
    #[error("{} is a core module, and a component is needed", path.display())]
    CoreModule {
        /// The file named by `source`.
        path: PathBuf,
    },
    /// The source is a broken component, or one that uses a feature this gateway does not have.
    #[error("{} is not a valid component: {error}", path.display())]
    Invalid {
        /// The file named by `source`.
        path: PathBuf,
        /// What the compiler said.
        error: String,
    },
    /// The source is a program of WASI 0.1.
    #[error("{} is a core module for WASI 0.1, and a component of WASI 0.2 is needed", path.display())]
    Preview1 {
        /// The file named by `source`.
        path: PathBuf,
    },
    /// The component is of a version of WASI that is not run here.
    #[error("{} is a component of WASI {version}, and this gateway runs WASI 0.2: it names {name}", path.display())]
    OtherWasi {
        /// The file named by `source`.
        path: PathBuf,
        /// That version.
        version: String,
        /// The import or export that says so.
        name: String,
    },
    /// The component is made for Spin's own interfaces.
    #[error("{} is made for Spin: it names {name}", path.display())]
    Spin {
        /// The file named by `source`.
        path: PathBuf,
        /// The import or export that says so.
        name: String,
    },
    /// The component is a command.
    #[error("{} exports no `wasi:http/incoming-handler@0.2.x`: it is a command (it exports {name})", path.display())]
    Command {
        /// The file named by `source`.
        path: PathBuf,
        /// The export that says so.
        name: String,
    },
    /// The component has no HTTP handler.
    #[error("{} exports no `wasi:http/incoming-handler@0.2.x`: {instead}", path.display())]
    NoHandler {
        /// The file named by `source`.
        path: PathBuf,
        /// What it is instead.
        instead: String,
    },
    /// An instance needs more memory at its start than it may have.
    #[error("{} needs {needed} bytes of memory at its start, and `limits.memory` allows {allowed}", path.display())]
    Memory {
        /// The file named by `source`.
        path: PathBuf,
        /// What it needs, in bytes.
        needed: u64,
        /// What it may have, in bytes.
        allowed: u64,
    },
    /// The component is valid, and beyond what this gateway takes of one.
    #[error("{} is beyond this gateway's limits for one component: {what}", path.display())]
    Beyond {
        /// The file named by `source`.
        path: PathBuf,
        /// Which limit, with both numbers.
        what: String,
    },
    /// The component needs what the gateway does not offer.
    #[error("{} imports what this gateway does not offer: {imports}", path.display())]
    MissingImports {
        /// The file named by `source`.
        path: PathBuf,
        /// The imports, separated by commas.
        imports: String,
    },
    /// The compiled code cannot be written.
    #[error("{} cannot hold compiled code: {error}", path.display())]
    Cache {
        /// The cache directory or the file in it.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// Other users could read or change the compiled code.
    #[error(transparent)]
    NotPrivate(NotPrivate),
    /// The compiled code went away or was damaged after registration.
    #[error("compiled code {} is lost and is compiled again", path.display())]
    CodeLost {
        /// The file in the cache directory.
        path: PathBuf,
    },
    /// The source is not what was registered, so that lost code cannot be made again from it.
    #[error("{} has changed since the start, and its compiled code was lost", path.display())]
    SourceChanged {
        /// The file named by `source`.
        path: PathBuf,
    },
    /// The compiled code cannot be loaded now.
    #[error("compiled code {} cannot be loaded now: {error}", path.display())]
    Load {
        /// The file in the cache directory.
        path: PathBuf,
        /// What wasmtime said.
        error: String,
    },
}

impl From<NotPrivate> for PackageError {
    fn from(error: NotPrivate) -> Self {
        match error {
            NotPrivate::Io { path, source } => Self::Cache {
                path,
                error: source,
            },
            shared => Self::NotPrivate(shared),
        }
    }
}

impl PackageError {
    fn code(&self) -> Code {
        match self {
            Self::Unreadable { error, .. } if error.kind() == std::io::ErrorKind::NotFound => Code::FileMissing,
            Self::Unreadable { .. } => Code::FileUnreadable,
            Self::NotWasm { .. } | Self::CoreModule { .. } | Self::Preview1 { .. } => Code::NotAComponent,
            Self::Invalid { .. } => Code::InvalidComponent,
            Self::OtherWasi { .. }
            | Self::Spin { .. }
            | Self::Command { .. }
            | Self::NoHandler { .. }
            | Self::MissingImports { .. } => Code::WrongWorld,
            Self::Memory { .. } | Self::Beyond { .. } => Code::ComponentTooLarge,
            Self::NotPrivate(_) => Code::NotPrivate,
            Self::Cache { .. } | Self::CodeLost { .. } | Self::SourceChanged { .. } | Self::Load { .. } => {
                Code::CacheUnusable
            }
        }
    }

    fn help(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "build the package, or correct the path",
            Self::NotWasm { .. } => "name a component: its first bytes are 00 61 73 6d 0d 00 01 00",
            Self::CoreModule { .. } => {
                "build it with `--target wasm32-wasip2`, or wrap it with `wasm-tools component new`"
            }
            Self::Invalid { .. } => "build it again, with a released toolchain",
            Self::Preview1 { .. } => {
                "build it with `--target wasm32-wasip2` and let it export the HTTP handler: a program of WASI 0.1 runs once, from start to end"
            }
            Self::OtherWasi { .. } => {
                "build it for the world `wasi:http/proxy@0.2`, for example with an older version of its SDK"
            }
            Self::Spin { .. } => {
                "use `wasi:http` for requests, and Dapr's building blocks for what Spin's interfaces do"
            }
            Self::Memory { .. } => "raise `memory` in the package's `limits`, or in `[limits]`",
            Self::Beyond { .. } => {
                "make it of fewer or smaller parts: these limits protect the other packages, and no key changes them"
            }
            Self::Command { .. } | Self::NoHandler { .. } => {
                "export the handler, for example with `wasmgate_sdk::serve!`, from a library with `crate-type = [\"cdylib\"]`"
            }
            Self::MissingImports { .. } => {
                "remove the import, or compose the component with one that provides it (`wac plug`)"
            }
            Self::Cache { error, .. } if error.kind() == std::io::ErrorKind::StorageFull => {
                "make room on its disk, or name another directory in `[server] cache`"
            }
            Self::Cache { .. } => "make the directory writable, or name another one in `[server] cache`",
            Self::NotPrivate(_) => "name a folder of the gateway's own in `[server] cache`",
            Self::CodeLost { .. } => "it is compiled in the background; try again",
            Self::SourceChanged { .. } => "restart the gateway to serve what is there now",
            Self::Load { .. } => {
                "it is tried again with the next request; raise the limit on descriptors, mappings or memory if that is named"
            }
        }
    }
}

impl From<PackageError> for Diagnostic {
    fn from(error: PackageError) -> Self {
        Self::new(error.code(), error.to_string(), error.help())
    }
}
