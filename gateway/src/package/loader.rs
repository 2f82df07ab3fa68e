//! From bytes to compiled code to something that can be instantiated.

use std::{
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::Path,
    sync::{Arc, OnceLock},
};

use rayon::ThreadPool;
use wasmtime::{
    Engine,
    component::{Component, Linker},
};
use wasmtime_wasi_http::p2::bindings::ProxyPre;

use super::{
    Package, PackageError,
    cache::{CodeCache, CompiledCode, Unfit},
    check,
    recompile::Recompilation,
    survey::{Start, Survey},
    world,
};
use crate::{
    config::{PackageConfig, Source},
    egress,
    engine::{self, Choice, EngineKind, Engines, Slots},
    instance::{self, HostState, Loaded},
    metrics::Metrics,
};

/// Compiles, keeps and loads components.
pub(crate) struct Loader {
    engines: Arc<Engines>,
    cache: CodeCache,
    metrics: Arc<Metrics>,
    threads: ThreadPool,
    recompilation: Recompilation,
    /// A linker is a table of some hundred host functions, made once for each engine.
    pool_linker: OnceLock<Linker<HostState>>,
    copy_on_write_linker: OnceLock<Linker<HostState>>,
}

/// A component that is compiled and was found fit to be served.
#[derive(Debug, Clone)]
pub struct Registered {
    /// The engine it runs in, and why.
    pub choice: Choice,
    /// Its compiled code.
    pub code: CompiledCode,
    /// The slots of the engine that each of its instances takes.
    pub(crate) slots: Slots,
    /// Bytes of an instance's globals.
    pub(crate) globals: u64,
}

impl Loader {
    /// A loader that compiles on `threads`, and whose compiled code lies in `directory`.
    ///
    /// # Errors
    /// When the directory cannot be used.
    pub(crate) fn new(
        engines: Arc<Engines>,
        threads: ThreadPool,
        directory: &Path,
        metrics: Arc<Metrics>,
    ) -> Result<Self, PackageError> {
        let cache = CodeCache::open(directory)?;
        Ok(Self {
            engines,
            cache,
            metrics,
            threads,
            recompilation: Recompilation::default(),
            pool_linker: OnceLock::new(),
            copy_on_write_linker: OnceLock::new(),
        })
    }

    /// The engines that instances of these components live in.
    pub(crate) fn engines(&self) -> &Arc<Engines> {
        &self.engines
    }

    /// The threads that packages are compiled on.
    pub(crate) fn threads(&self) -> &ThreadPool {
        &self.threads
    }

    /// Makes sure that compiled code of a package's component is on disk, compiling it if need be. The engine is the
    /// one that is `wanted`, or the one that suits the component. What is `known` of the package as it is configured
    /// still holds if the component is the same.
    ///
    /// # Errors
    /// When the file is not a component that this gateway can serve; the error says what to do.
    pub(crate) fn register(
        &self,
        package: &PackageConfig,
        wanted: Option<EngineKind>,
        known: Option<&Registered>,
    ) -> Result<Registered, PackageError> {
        let Source::File(source) = &package.source;
        let bytes = fs::read(source).map_err(|error| PackageError::Unreadable {
            path: source.clone(),
            error,
        })?;
        check::digest(&bytes, package.sha256, source)?;
        if let Some(known) = known
            && self.is_still(known, &bytes, source)?
        {
            return Ok(known.clone());
        }
        check::preamble(&bytes, source)?;
        let invalid = |error: String| PackageError::Invalid {
            path: source.clone(),
            error,
        };
        let survey = Survey::parse(&bytes).map_err(|error| invalid(error.to_string()))?;
        let world = world::of(&survey, source)?;
        check::start(&survey.start, package.limits.memory, source)?;
        let choice = engine::choose(world, survey.active_data, wanted);
        let engine = self.engine(choice.engine, source)?;
        let key = compatibility(engine);
        let registered = |choice, code| Registered {
            choice,
            code,
            slots: slots(&survey.start),
            globals: survey.start.globals,
        };
        if let Some(code) = self.cache.find(&bytes, &key) {
            self.metrics.cache_hits.inc();
            return Ok(registered(choice, code));
        }
        // Observed when it goes, however that is.
        let _compiling = self.metrics.compilation.start_timer();
        let component = Component::new(engine, &bytes).map_err(|error| check::uncompiled(&error, source))?;
        self.metrics.compilations.inc();
        check::parts(&component, source)?;
        self.prepare(choice.engine, &component)
            .map_err(|error| check::missing_imports(&component, source, &error))?;
        let code = component
            .serialize()
            .map_err(|error| invalid(format!("{error:#}")))?;
        let code = self.cache.keep(&bytes, &key, &code)?;
        Ok(registered(choice, code))
    }

    /// Returns whether code is that of these bytes, and still there.
    fn is_still(&self, known: &Registered, bytes: &[u8], source: &Path) -> Result<bool, PackageError> {
        let key = compatibility(self.engine(known.choice.engine, source)?);
        Ok(known.code.is_of(bytes, &key) && known.code.check().is_ok())
    }

    /// Maps compiled code and resolves its imports.
    ///
    /// # Errors
    /// When the file is gone or proven to be damaged, which is discarded then; or when it cannot be loaded now, as
    /// without a free descriptor or mapping, which a later try may change.
    pub(crate) fn load(&self, registered: &Registered) -> Result<Loaded, PackageError> {
        let (kind, code) = (registered.choice.engine, &registered.code);
        let _loading = self.metrics.load.start_timer();
        code.check().map_err(|unfit| lost(code, unfit))?;
        let engine = self.engine(kind, code.path())?;
        let loaded = map(engine, code).and_then(|component| {
            let image = component.image_range();
            let bytes = image.end.addr().saturating_sub(image.start.addr());
            Ok(Loaded {
                handler: self.prepare(kind, &component)?,
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
        let Source::File(source) = &package.account.config.source;
        let (wanted, before) = (package.registered.choice.engine, &package.registered.code);
        let made = self.register(&package.account.config, Some(wanted), None)?;
        // The name of compiled code is the digest of its source.
        if made.code.path() != before.path() {
            return Err(PackageError::SourceChanged {
                path: source.clone(),
            });
        }
        Ok(())
    }

    fn engine(&self, kind: EngineKind, path: &Path) -> Result<&Engine, PackageError> {
        self.engines.get(kind).map_err(|error| PackageError::Load {
            path: path.to_owned(),
            error: format!("{error:#}"),
        })
    }

    fn prepare(&self, kind: EngineKind, component: &Component) -> wasmtime::Result<ProxyPre<HostState>> {
        let made = match kind {
            EngineKind::Pool => &self.pool_linker,
            EngineKind::CopyOnWrite => &self.copy_on_write_linker,
        };
        let linker = match made.get() {
            Some(linker) => linker,
            None => {
                let linker = link(component.engine())?;
                made.get_or_init(|| linker)
            }
        };
        ProxyPre::new(linker.instantiate_pre(component)?)
    }
}

/// The slots that an instance takes.
fn slots(start: &Start) -> Slots {
    let number = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    Slots {
        memories: number(start.memories),
        tables: number(start.tables),
        instances: 1,
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

/// Every interface of `wasi:http/proxy` and of `wasi:cli/imports`; the closed ones are closed by the context they
/// get, not by being absent, since a Rust guest imports them whether it uses them or not.
fn link(engine: &Engine) -> wasmtime::Result<Linker<HostState>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    // Streams need the table of resources alone: by way of the whole WASI context each of them would have one made.
    linker.allow_shadowing(true);
    wasmtime_wasi_io::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    egress::add_to_linker(&mut linker)?;
    instance::link(&mut linker)?;
    linker.allow_shadowing(false);
    Ok(linker)
}

/// Tells engines apart that cannot load each other's code.
fn compatibility(engine: &Engine) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
