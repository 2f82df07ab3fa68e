//! The loader: from a component's bytes to compiled code, to something that can be instantiated.

mod again;
mod code;
mod hold;
mod load;
mod register;
mod snapshots;

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use rayon::ThreadPool;
use wasmparser::BinaryReaderError;
use wasmtime::{Engine, component::Linker};

use super::{
    PackageError,
    cache::{CodeCache, CompiledCode},
    compiler::{CompileLimits, Compiler},
    image::ImagePlan,
    lease::Lease,
    pieces,
    recompile::Recompilation,
    shipped,
};
use crate::{
    config::{Kind, PackageConfig, Reference, Sha256Digest, Source},
    engine::{Choice, EngineId, Engines, OfEach, Slots, World},
    instance::HostState,
    interfaces,
    metrics::Metrics,
    registry::{Code, Pulled, Registry},
};

pub(crate) use register::Found;

/// The folder of pulled blobs, beside compiled code.
const REGISTRY: &str = "registry";

/// Compiles, stores and loads components.
pub(crate) struct Loader {
    engines: Arc<Engines>,
    cache: CodeCache,
    lease: Lease,
    registry: Registry,
    compiler: Compiler,
    metrics: Arc<Metrics>,
    threads: ThreadPool,
    recompilation: Recompilation,
    /// A linker is a table of hundreds of host functions, created once per engine.
    linkers: OfEach<Linker<HostState>>,
}

/// A component that is compiled and can be served.
#[derive(Debug, Clone)]
pub struct Registered {
    /// Its engine, and the reason.
    pub choice: Choice,
    /// Its compiled code.
    pub code: CompiledCode,
    /// The snapshot from which its code is compiled, if it has one.
    pub(crate) snapshot: Option<CompiledCode>,
    /// The images stored after its code, which initialize memories.
    pub(super) images: ImagePlan,
    /// The slots that each instance takes.
    pub(crate) slots: Slots,
    /// The size of an instance's globals.
    pub(crate) globals: u64,
    /// Its imports among the interfaces that are provided beside WASI.
    pub(super) interfaces: Vec<String>,
    /// It is middleware.
    pub(super) is_middleware: bool,
    /// Its registry reference, if it came from one.
    pub(crate) pulled: Option<Pulled>,
}

impl Registered {
    /// Its code in the form for a registry.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn to_ship(&self, component: &[u8], path: &Path) -> Result<Code, PackageError> {
        shipped::to_ship(self.choice.id(), &self.code, &self.images, component, path)
    }

    /// Returns whether it was registered for the way in which a package calls it.
    fn is_for(&self, package: &PackageConfig) -> bool {
        let is_program = self.choice.world.is_program();
        is_program == (package.kind == Kind::Cgi)
            && self.is_middleware == package.next.is_some()
            && (package.reuse == 1 || self.choice.world == World::Service)
    }

    /// Its reference and digest in a registry; `None` for a file.
    pub fn pulled(&self) -> Option<(&Reference, Sha256Digest)> {
        let pulled = self.pulled.as_ref()?;
        Some((&pulled.reference, pulled.manifest))
    }

    /// A sentence for each imported interface that is closed to its package.
    pub fn closed(&self, package: &PackageConfig) -> Vec<String> {
        interfaces::closed(&self.interfaces, package)
    }
}

/// The file of a component, and its name in messages.
struct Origin {
    file: PathBuf,
    shown: PathBuf,
}

impl Loader {
    /// A loader that compiles on `threads`, within `limits` if that is done in separate processes, and stores code in
    /// `directory`.
    ///
    /// # Errors
    /// When the directory cannot be used.
    pub(crate) fn new(
        engines: Arc<Engines>,
        threads: ThreadPool,
        directory: &Path,
        limits: CompileLimits,
        metrics: Arc<Metrics>,
    ) -> Result<Self, PackageError> {
        let cache = CodeCache::open(directory)?;
        Ok(Self {
            engines,
            cache,
            lease: Lease::new(directory),
            registry: Registry::new(&directory.join(REGISTRY), Arc::clone(&metrics)),
            compiler: Compiler::new(directory, limits),
            metrics,
            threads,
            recompilation: Recompilation::default(),
            linkers: OfEach::default(),
        })
    }

    /// The engines of these components.
    pub(crate) fn engines(&self) -> &Arc<Engines> {
        &self.engines
    }

    /// The client of registries.
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The thread pool for compilation.
    pub(crate) fn threads(&self) -> &ThreadPool {
        &self.threads
    }

    fn origin(&self, package: &PackageConfig, pulled: Option<&Pulled>) -> Origin {
        match (&package.source, pulled) {
            (Source::File(file), _) => Origin {
                file: file.clone(),
                shown: file.clone(),
            },
            (Source::Registry(reference), Some(pulled)) => Origin {
                file: self.registry.file(pulled),
                shown: reference.to_string().into(),
            },
            // It will not be found, and is reported by its name.
            (Source::Registry(reference), None) => Origin {
                file: reference.to_string().into(),
                shown: reference.to_string().into(),
            },
        }
    }

    fn engine(&self, id: EngineId, path: &Path) -> Result<&Engine, PackageError> {
        self.engines.get(id).map_err(|error| PackageError::Load {
            path: path.to_owned(),
            error: format!("{error:#}"),
        })
    }
}

fn invalid(error: &BinaryReaderError, source: &Path) -> PackageError {
    PackageError::Invalid {
        path: source.to_owned(),
        error: error.to_string(),
    }
}

/// Distinguishes incompatible code: of different engines, with images and without.
fn key(engine: &Engine, images: &ImagePlan) -> String {
    let kind = if images.is_empty() { "" } else { "-image" };
    format!("{}{kind}-{}", compatibility(engine), pieces::KEY)
}

/// Distinguishes engines that cannot load each other's code.
fn compatibility(engine: &Engine) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
