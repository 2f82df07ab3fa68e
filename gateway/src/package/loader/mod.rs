//! From bytes to compiled code to something that can be instantiated.

mod again;
mod code;
mod hold;
mod load;
mod snapshots;

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use rayon::ThreadPool;
use wasmgate_common::read_file;
use wasmparser::BinaryReaderError;
use wasmtime::{Engine, component::Linker};

use self::code::Work;
use super::{
    PackageError, adapted,
    cache::{CodeCache, CompiledCode},
    check::{self, Form},
    compiler::{CompileLimits, Compiler},
    image::{ImagePlan, Imaged},
    lease::Lease,
    recompile::Recompilation,
    shipped,
    survey::{Start, Survey},
    world,
};
use crate::{
    config::{Kind, PackageConfig, Reference, Sha256Digest, Source},
    engine::{Choice, EngineId, EngineKind, Engines, OfEach, Slots, StackSize, Weighed, World},
    instance::HostState,
    interfaces,
    metrics::Metrics,
    registry::{Code, MAX_COMPONENT, Pulled, Registry},
};

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
        is_program == (package.kind == Kind::Cgi) && self.is_middleware == package.next.is_some()
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

/// What a component imports of the interfaces that are offered beside WASI.
fn offered(survey: &Survey) -> Vec<String> {
    let imports = survey.imports.iter();
    imports
        .filter(|name| interfaces::offers(name))
        .cloned()
        .collect()
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

    /// Makes sure that compiled code of a package's component is on disk, compiling it if need be. The engine is the
    /// one that is `wanted`, or the one that suits the component. What is `known` of the package as it is configured
    /// still holds if the component is the same. One from a registry was `pulled` before.
    ///
    /// # Errors
    /// When the file is not a component that this gateway can serve; the error says what to do.
    pub(crate) fn register(
        &self,
        package: &PackageConfig,
        wanted: Option<EngineKind>,
        known: Option<&Registered>,
        pulled: Option<&Pulled>,
    ) -> Result<Registered, PackageError> {
        let Origin { file, shown } = self.origin(package, pulled);
        let source = shown.as_path();
        let bytes = read_file(&file, MAX_COMPONENT).map_err(|error| PackageError::Unreadable { path: file, error })?;
        if let Some(pulled) = pulled {
            check::digest(&bytes, Some(pulled.component), source)?;
        }
        check::digest(&bytes, package.sha256, source)?;
        if let Some(known) = known
            && known.is_for(package)
            && self.is_still(known, &bytes, source)?
        {
            return Ok(Registered {
                pulled: pulled.cloned(),
                ..known.clone()
            });
        }
        let bytes = match check::preamble(&bytes, package.kind, source)? {
            Form::Component => bytes,
            Form::Module => adapted::component(&self.cache, &self.compiler, &bytes, source)?,
        };
        let survey = read(&bytes, source)?;
        let world = world::of(&survey, package.kind, package.next.is_some(), source)?;
        check::start(&survey.start, package.limits.memory, source)?;
        let (bytes, survey, snapshot) = if package.snapshot {
            let (bytes, kept) = self.snapshot(&bytes, package.limits.memory, source)?;
            let survey = read(&bytes, source)?;
            check::start(&survey.start, package.limits.memory, source)?;
            (bytes, survey, Some(kept))
        } else {
            (bytes, survey, None)
        };
        // What was shipped was made of the component as it came.
        let shipped = pulled.filter(|_| package.compiled && snapshot.is_none());
        let made = self.make(
            &bytes,
            &survey,
            (world, package.limits.stack),
            wanted,
            shipped,
            source,
        )?;
        Ok(Registered {
            choice: made.choice,
            code: made.code,
            snapshot,
            images: made.images,
            slots: slots(world, &survey.start),
            globals: survey.start.globals,
            interfaces: offered(&survey),
            is_middleware: package.next.is_some(),
            pulled: pulled.cloned(),
        })
    }

    /// Sees to it that the code of a component is on disk.
    fn make(
        &self,
        bytes: &[u8],
        survey: &Survey,
        (world, stack): (World, StackSize),
        wanted: Option<EngineKind>,
        shipped: Option<&Pulled>,
        source: &Path,
    ) -> Result<Made, PackageError> {
        let imaged = match wanted {
            Some(EngineKind::CopyOnWrite) => None,
            _ => Imaged::of(bytes, survey).map_err(|error| invalid(&error, source))?,
        };
        let weighed = Weighed {
            world,
            stack,
            active_data: survey.active_data,
            imaged: imaged.as_ref().map_or(0, Imaged::data),
        };
        let choice = self.engines.choose(weighed, wanted);
        let imaged = imaged.filter(|_| choice.engine == EngineKind::Pool);
        let images = imaged.as_ref().map(Imaged::plan).unwrap_or_default();
        let engine = self.engine(choice.id(), source)?;
        let key = key(engine, &images);
        let work = Work {
            id: choice.id(),
            bytes,
            imaged: imaged.as_ref(),
            key: &key,
            source,
        };
        let code = self.code(work, shipped)?;
        Ok(Made {
            choice,
            code,
            images,
        })
    }

    /// Returns whether code is that of these bytes, and still there.
    fn is_still(&self, known: &Registered, bytes: &[u8], source: &Path) -> Result<bool, PackageError> {
        let is_of = match &known.snapshot {
            Some(snapshot) => snapshot.is_of(bytes, snapshots::KEY),
            None => {
                let key = key(self.engine(known.choice.id(), source)?, &known.images);
                known.code.is_of(bytes, &key)
            }
        };
        Ok(is_of && known.code.check().is_ok())
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

/// Compiled code, and what it was made for.
struct Made {
    choice: Choice,
    code: CompiledCode,
    images: ImagePlan,
}

fn read(bytes: &[u8], source: &Path) -> Result<Survey, PackageError> {
    Survey::parse(bytes).map_err(|error| invalid(&error, source))
}

fn invalid(error: &BinaryReaderError, source: &Path) -> PackageError {
    PackageError::Invalid {
        path: source.to_owned(),
        error: error.to_string(),
    }
}

/// The slots that an instance takes. In WASI 0.3 each component in it may wait in a call on a stack of its own.
fn slots(world: World, start: &Start) -> Slots {
    let number = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    Slots {
        memories: number(start.memories),
        tables: number(start.tables),
        instances: if world.is_concurrent() {
            number(start.components.saturating_add(1))
        } else {
            1
        },
    }
}

/// Tells code apart that is not the other's: of engines that cannot load each other's, with images and without.
fn key(engine: &Engine, images: &ImagePlan) -> String {
    let kind = if images.is_empty() { "" } else { "-image" };
    format!("{}{kind}", compatibility(engine))
}

/// Tells engines apart that cannot load each other's code.
fn compatibility(engine: &Engine) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
