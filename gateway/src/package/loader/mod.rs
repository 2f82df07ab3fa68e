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

/// The folder of what is pulled from registries, beside compiled code.
const REGISTRY: &str = "registry";

/// Compiles, keeps and loads components.
pub(crate) struct Loader {
    engines: Arc<Engines>,
    cache: CodeCache,
    lease: Lease,
    registry: Registry,
    compiler: Compiler,
    metrics: Arc<Metrics>,
    threads: ThreadPool,
    recompilation: Recompilation,
    /// A linker is a table of some hundred host functions, made once for each engine.
    linkers: OfEach<Linker<HostState>>,
}

/// A component that is compiled and was found fit to be served.
#[derive(Debug, Clone)]
pub struct Registered {
    /// The engine it runs in, and why.
    pub choice: Choice,
    /// Its compiled code.
    pub code: CompiledCode,
    /// The component as its start-up leaves it, of which its code is made, if it has a snapshot.
    pub(crate) snapshot: Option<CompiledCode>,
    /// The images behind its code, with which memories begin.
    pub(super) images: ImagePlan,
    /// The slots of the engine that each of its instances takes.
    pub(crate) slots: Slots,
    /// Bytes of an instance's globals.
    pub(crate) globals: u64,
    /// The interfaces that it imports of those that are offered beside WASI.
    pub(super) interfaces: Vec<String>,
    /// It passes requests on.
    pub(super) is_middleware: bool,
    /// What was pulled for it, if it came from a registry.
    pub(crate) pulled: Option<Pulled>,
}

impl Registered {
    /// Its code as it goes with its component through a registry.
    ///
    /// # Errors
    /// When it cannot be read any more.
    pub(crate) fn to_ship(&self, component: &[u8], path: &Path) -> Result<Code, PackageError> {
        shipped::to_ship(self.choice.id(), &self.code, &self.images, component, path)
    }

    /// Returns whether a package calls it in the way that it was registered for.
    fn is_for(&self, package: &PackageConfig) -> bool {
        let is_program = self.choice.world.is_program();
        is_program == (package.kind == Kind::Cgi)
            && self.is_middleware == package.next.is_some()
            && (package.reuse == 1 || self.choice.world == World::Service)
    }

    /// The reference it was pulled by, and the digest that this had; `None` for a file.
    pub fn pulled(&self) -> Option<(&Reference, Sha256Digest)> {
        let pulled = self.pulled.as_ref()?;
        Some((&pulled.reference, pulled.manifest))
    }

    /// A sentence for each interface that the component imports and that is closed to its package.
    pub fn closed(&self, package: &PackageConfig) -> Vec<String> {
        interfaces::closed(&self.interfaces, package)
    }
}

/// The file of a component, and the name by which its mistakes are told.
struct Origin {
    file: PathBuf,
    shown: PathBuf,
}

impl Loader {
    /// A loader that compiles on `threads`, within `limits` where that is done in processes of its own, and whose
    /// compiled code lies in `directory`.
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

    /// The engines that instances of these components live in.
    pub(crate) fn engines(&self) -> &Arc<Engines> {
        &self.engines
    }

    /// What is pulled from registries.
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The threads that packages are compiled on.
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
            // It cannot be found there either, and is told so by its name.
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

/// Tells code apart that is not the other's: of engines that cannot load each other's, with images and without.
fn key(engine: &Engine, images: &ImagePlan) -> String {
    let kind = if images.is_empty() { "" } else { "-image" };
    format!("{}{kind}-{}", compatibility(engine), pieces::KEY)
}

/// Tells engines apart that cannot load each other's code.
fn compatibility(engine: &Engine) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
