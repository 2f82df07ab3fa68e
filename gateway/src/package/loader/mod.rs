//! From bytes to compiled code to something that can be instantiated.

mod snapshots;

use std::{
    collections::BTreeSet,
    fs::File,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io::{Read, Seek as _},
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use rayon::ThreadPool;
use wasmgate_common::read_file;
use wasmparser::BinaryReaderError;
use wasmtime::{
    Engine,
    component::{Component, Linker},
};
use wasmtime_wasi::{p2::bindings::CommandPre, p3};
use wasmtime_wasi_http::{p2::bindings::ProxyPre, p3::bindings::ServicePre};

use super::{
    Package, PackageError, adapted,
    cache::{CodeCache, CompiledCode, Unfit},
    check::{self, Form},
    compiler::{CompileLimits, Compiler, Task},
    image::{ImagePlan, Imaged},
    lease::{Door, Lease},
    recompile::Recompilation,
    shipped,
    survey::{Start, Survey},
    world,
};
use crate::{
    config::{Kind, PackageConfig, Reference, Sha256Digest, Source},
    egress,
    engine::{Choice, EngineId, EngineKind, Engines, OfEach, Slots, StackSize, Weighed, World},
    instance::{self, Handler, HostState, Loaded},
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

    /// Holds the cache as it is: nobody removes files from it meanwhile.
    pub(crate) fn door(&self) -> Option<Door> {
        self.lease.door()
    }

    /// Keeps the files of these packages besides those so far, for as long as this process lives.
    pub(crate) fn hold_too<'a>(&self, registered: impl Iterator<Item = &'a Registered>) {
        self.lease.add(self.files(registered));
    }

    /// Keeps the files of these packages, and no others.
    pub(crate) fn hold_only<'a>(&self, registered: impl Iterator<Item = &'a Registered>) {
        self.lease.set(self.files(registered));
    }

    /// The files of the cache that packages use.
    fn files<'a>(&self, registered: impl Iterator<Item = &'a Registered>) -> BTreeSet<String> {
        let each = registered.flat_map(|registered| {
            let pulled = registered.pulled.as_ref();
            let needed = pulled.map(|pulled| self.registry.needed(&pulled.reference, Some(pulled)).files);
            let own = [Some(&registered.code), registered.snapshot.as_ref()]
                .into_iter()
                .flatten();
            let own = own.filter_map(|file| Some(file.path().file_name()?.to_string_lossy().into_owned()));
            needed.into_iter().flatten().chain(own)
        });
        each.collect()
    }

    /// The beginnings of the names that our engines give to their code.
    pub(crate) fn keys(&self) -> Result<BTreeSet<String>, PackageError> {
        let kinds = [EngineKind::Pool, EngineKind::CopyOnWrite];
        let ids = kinds.into_iter().flat_map(|kind| {
            let worlds = [World::Proxy, World::Service];
            let stack = StackSize::default();
            worlds.map(|world| EngineId { kind, world, stack })
        });
        ids.map(|id| self.engine(id, Path::new("")).map(compatibility))
            .collect()
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

    /// The code of a component, compiled if there is none; or what was `shipped` with it.
    fn code(&self, work: Work<'_>, shipped: Option<&Pulled>) -> Result<CompiledCode, PackageError> {
        if let Some(code) = self.cache.find(work.bytes, work.key) {
            self.metrics.cache_hits.inc();
            return Ok(code);
        }
        // Observed when it goes, however that is.
        let _compiling = self.metrics.compilation.start_timer();
        loop {
            let made = match shipped.and_then(|pulled| self.take_shipped(pulled, work)) {
                Some(code) => Some(code),
                None if Compiler::is_apart() => self.compile_apart(work)?,
                None => Some(self.compile_here(work)?),
            };
            if let Some(code) = made.or_else(|| self.cache.find(work.bytes, work.key)) {
                return Ok(code);
            }
            // Somebody else has compiled it, and refused or lost what came of it: this package has its own try.
        }
    }

    /// Compiles a component in a process of its own; `None` if another package's is the same and was just compiled.
    fn compile_apart(&self, work: Work<'_>) -> Result<Option<CompiledCode>, PackageError> {
        let Work { id, source, .. } = work;
        let name = self.cache.path(work.bytes, work.key);
        let made = self
            .compiler
            .make(&name, Task::Compile(id), work.compiled(), |code| {
                self.metrics.compilations.inc();
                self.accept(work, code)
            });
        match made {
            Ok(made) => made.transpose(),
            Err(why) => {
                self.metrics.not_compiled(why.reason());
                Err(check::not_compiled(why, source))
            }
        }
    }

    /// Takes the compiled code that was pushed with a component, if it is for this gateway; `None` if it is to be
    /// compiled here.
    fn take_shipped(&self, pulled: &Pulled, work: Work<'_>) -> Option<CompiledCode> {
        let name = self.cache.path(work.bytes, work.key);
        let taken = self.compiler.once(&name, || {
            let found = shipped::find(&self.registry, pulled, work.id, work.compiled());
            let taken = found.and_then(|file| {
                let taken = file.map(|file| self.accept(work, file));
                taken.transpose().map_err(|error| error.to_string())
            });
            self.metrics.pulled_code(match &taken {
                Ok(Some(_)) => "taken",
                Ok(None) => "none",
                Err(_) => "failed",
            });
            Ok(taken.unwrap_or_else(|error| {
                tracing::warn!(reference = %pulled.reference, error,
                    "the compiled code in the registry cannot be used; the component is compiled here");
                None
            }))
        });
        match taken {
            Ok(Some(taken)) => taken,
            // Somebody else was at it.
            Ok(None) => self.cache.find(work.bytes, work.key),
            Err(_) => None,
        }
    }

    /// Checks code that was made of a component, and keeps it.
    fn accept(&self, work: Work<'_>, mut code: File) -> Result<CompiledCode, PackageError> {
        let Work { id, source, .. } = work;
        let component = map_made(self.engine(id, source)?, &code);
        let component = component.map_err(|error| check::uncompiled(&error, source))?;
        self.check(id, &component, source)?;
        let length = code.rewind().and_then(|()| code.metadata());
        let length = length.map_err(|error| PackageError::Cache {
            path: self.cache.path(work.bytes, work.key),
            error,
        })?;
        self.keep(work, code, length.len())
    }

    /// Compiles a component in this process.
    fn compile_here(&self, work: Work<'_>) -> Result<CompiledCode, PackageError> {
        let Work { id, source, .. } = work;
        let component = Component::new(self.engine(id, source)?, work.compiled());
        let component = component.map_err(|error| check::uncompiled(&error, source))?;
        self.metrics.compilations.inc();
        self.check(id, &component, source)?;
        let code = component
            .serialize()
            .map_err(|error| PackageError::Invalid {
                path: source.to_owned(),
                error: format!("{error:#}"),
            })?;
        self.keep(work, code.as_slice(), code.len() as u64)
    }

    /// Keeps code of this length, and behind it the images of what was taken out of its source.
    fn keep(&self, work: Work<'_>, code: impl Read, length: u64) -> Result<CompiledCode, PackageError> {
        match work.imaged {
            None => self.cache.keep(work.bytes, work.key, code),
            Some(imaged) => self
                .cache
                .keep(work.bytes, work.key, code.chain(imaged.behind(length))),
        }
    }

    /// Refuses a component that takes too much, or that cannot be linked here.
    fn check(&self, id: EngineId, component: &Component, source: &Path) -> Result<(), PackageError> {
        check::parts(component, source)?;
        self.prepare(id, component)
            .map_err(|error| check::missing_imports(component, source, &error))?;
        Ok(())
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

    /// Maps compiled code and resolves its imports.
    ///
    /// # Errors
    /// When the file is gone or proven to be damaged, which is discarded then; or when it cannot be loaded now, as
    /// without a free descriptor or mapping, which a later try may change.
    pub(crate) fn load(&self, registered: &Registered) -> Result<Loaded, PackageError> {
        let (id, code) = (registered.choice.id(), &registered.code);
        let _loading = self.metrics.load.start_timer();
        code.check().map_err(|unfit| lost(code, unfit))?;
        let engine = self.engine(id, code.path())?;
        let loaded = map(engine, code).and_then(|component| {
            let image = component.image_range();
            let bytes = image.end.addr().saturating_sub(image.start.addr());
            Ok(Loaded {
                handler: self.prepare(id, &component)?,
                images: registered.images.open(code)?,
                bytes,
                globals: registered.globals,
            })
        });
        // The error may be the machine's as well as the file's: only the file itself is proof.
        loaded.map_err(|error| match code.verify() {
            Err(unfit @ (Unfit::Gone | Unfit::Damaged)) => lost(code, unfit),
            Ok(()) | Err(Unfit::Unreadable(_)) => PackageError::Load {
                path: code.path().to_owned(),
                error: format!("{error:#}"),
            },
        })
    }

    /// Compiles lost code of a package again, beside the requests.
    pub(super) fn recompile(self: &Arc<Self>, package: &Arc<Package>) {
        let loader = Arc::clone(self);
        self.recompilation.add(package, || {
            self.threads().spawn(move || loader.compile_waiting())
        });
    }

    fn compile_waiting(&self) {
        while let Some(package) = self.recompilation.next() {
            match self.compile_again(&package) {
                Ok(()) => {
                    tracing::info!(package = %package.name(), "lost code was compiled again");
                    package.recovered();
                }
                Err(error) => {
                    package.failed(&error);
                    self.recompilation.rest(package);
                }
            }
        }
    }

    fn compile_again(&self, package: &Package) -> Result<(), PackageError> {
        let registered = package.registered.as_ref().ok_or(PackageError::Unfit)?;
        let (wanted, before) = (registered.choice.engine, &registered.code);
        let (config, pulled) = (&package.account.config, registered.pulled.as_ref());
        let _door = self.door();
        let made = self.register(config, Some(wanted), None, pulled)?;
        // The name of compiled code is the digest of its source.
        if made.code.path() != before.path() {
            return Err(PackageError::SourceChanged {
                path: self.origin(config, pulled).shown,
            });
        }
        Ok(())
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

    fn prepare(&self, id: EngineId, component: &Component) -> wasmtime::Result<Handler> {
        let linker = self
            .linkers
            .get_or_try(id, || link(component.engine(), id.world))?;
        let prepared = match interfaces::link(linker, component)? {
            Some(linker) => linker.instantiate_pre(component)?,
            None => linker.instantiate_pre(component)?,
        };
        Ok(match id.world {
            World::Proxy => Handler::Proxy(ProxyPre::new(prepared)?),
            World::Service => Handler::Service(ServicePre::new(prepared)?),
            World::Command => Handler::Command(CommandPre::new(prepared)?),
            World::CommandOf03 => Handler::CommandOf03(p3::bindings::CommandPre::new(prepared)?),
        })
    }
}

/// Compiled code, and what it was made for.
struct Made {
    choice: Choice,
    code: CompiledCode,
    images: ImagePlan,
}

/// A component to compile.
#[derive(Clone, Copy)]
struct Work<'a> {
    id: EngineId,
    /// The component as it came.
    bytes: &'a [u8],
    /// What is compiled instead, and its images.
    imaged: Option<&'a Imaged>,
    /// The engine's name for its code.
    key: &'a str,
    /// The name by which people know it.
    source: &'a Path,
}

impl<'a> Work<'a> {
    fn compiled(&self) -> &'a [u8] {
        self.imaged.map_or(self.bytes, |imaged| &imaged.component)
    }
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

/// Turns unfit code into the package's error, and takes damaged code out of the way.
fn lost(code: &CompiledCode, unfit: Unfit) -> PackageError {
    let path = code.path().to_owned();
    match unfit {
        Unfit::Gone => PackageError::CodeLost { path },
        Unfit::Damaged => {
            code.discard();
            PackageError::CodeLost { path }
        }
        Unfit::Unreadable(error) => PackageError::Load {
            path,
            error: error.to_string(),
        },
    }
}

#[allow(unsafe_code, reason = "compiled code is trusted like our own binary")]
fn map(engine: &Engine, code: &CompiledCode) -> wasmtime::Result<Component> {
    // SAFETY: the file was written by `CodeCache::keep` from the output of this engine, in a directory that only our
    // user can enter, and `CompiledCode::check` has just held: it is the file whose seal was checked when it was
    // registered, or one whose seal fits now. Wasmtime itself refuses code of another version or configuration.
    unsafe { Component::deserialize_file(engine, code.path()) }
}

#[allow(unsafe_code, reason = "compiled code is trusted like our own binary")]
fn map_made(engine: &Engine, code: &File) -> wasmtime::Result<Component> {
    let open = if cfg!(target_os = "linux") {
        "/proc/self/fd"
    } else {
        "/dev/fd"
    };
    let path = format!("{open}/{}", code.as_raw_fd());
    // SAFETY: the file has no name, so that nobody could write to it but who made it, which has ended. That was our
    // compiler's process, our own binary with an engine of the same configuration; or what is in it has the digest that
    // somebody vouches for whom the configuration trusts with native code (`registry::code`), and says that it was made
    // by such a one. Wasmtime itself refuses code of another version or configuration.
    unsafe { Component::deserialize_file(engine, path) }
}

/// Every interface of the world and of `wasi:cli/imports`, and for WASI 0.3 those of 0.2 besides, which a guest may use
/// beside it: languages' own libraries do. The closed ones are closed by the context they
/// get, not by being absent, since a Rust guest imports them whether it uses them or not.
fn link(engine: &Engine, world: World) -> wasmtime::Result<Linker<HostState>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    // Streams need the table of resources alone: by way of the whole WASI context each of them would have one made.
    linker.allow_shadowing(true);
    wasmtime_wasi_io::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    egress::add_to_linker(&mut linker)?;
    linker.allow_shadowing(false);
    if world.is_concurrent() {
        wasmtime_wasi::p3::add_to_linker(&mut linker)?;
        wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    }
    instance::link(&mut linker, world)?;
    Ok(linker)
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
