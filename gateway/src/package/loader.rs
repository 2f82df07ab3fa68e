//! From bytes to compiled code to something that can be instantiated.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

use wasmtime::Engine;
use wasmtime::component::{Component, Linker};
use wasmtime_wasi_http::p2::bindings::ProxyPre;

use super::cache::{CodeCache, CompiledCode};
use super::{PackageError, check};
use crate::admin::metrics::Metrics;
use crate::instance::HostState;

/// Compiles, keeps and loads the components of one engine.
pub struct Loader {
    engine: Engine,
    linker: Linker<HostState>,
    cache: CodeCache,
    metrics: Metrics,
}

/// A component ready to be instantiated.
pub struct Loaded {
    /// Its imports are resolved; an instance costs microseconds.
    pub handler: ProxyPre<HostState>,
}

impl Loader {
    /// A loader whose compiled code lies in `directory`.
    ///
    /// # Errors
    /// When the directory cannot be used.
    pub fn new(engine: Engine, directory: &Path, metrics: Metrics) -> Result<Self, PackageError> {
        let cache = CodeCache::open(directory, compatibility(&engine))?;
        let linker = link(&engine).map_err(|error| PackageError::Load {
            path: directory.to_owned(),
            error: format!("{error:#}"),
        })?;
        Ok(Self {
            engine,
            linker,
            cache,
            metrics,
        })
    }

    /// The engine that instances of these components live in.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Makes sure that compiled code of the component at `source` is on disk, compiling it if need be.
    ///
    /// # Errors
    /// When the file is not a component that this gateway can serve; the error says what to do.
    pub fn register(&self, source: &Path) -> Result<CompiledCode, PackageError> {
        let bytes = fs::read(source).map_err(|error| PackageError::Unreadable {
            path: source.to_owned(),
            error,
        })?;
        check::preamble(&bytes, source)?;
        if let Some(code) = self.cache.find(&bytes)
            // Whole, and made by us; a wasmtime that cannot load it all the same compiles it again.
            && self.load(&code).is_ok()
        {
            self.metrics.cache_hits.inc();
            return Ok(code);
        }
        let component =
            Component::new(&self.engine, &bytes).map_err(|error| PackageError::Invalid {
                path: source.to_owned(),
                error: format!("{error:#}"),
            })?;
        self.metrics.compilations.inc();
        check::exports_handler(&component, source)?;
        self.prepare(&component)
            .map_err(|error| check::missing_imports(&component, source, &error))?;
        let code = component
            .serialize()
            .map_err(|error| PackageError::Invalid {
                path: source.to_owned(),
                error: format!("{error:#}"),
            })?;
        self.cache.keep(&bytes, &code)
    }

    /// Maps compiled code and resolves its imports.
    ///
    /// # Errors
    /// When the file is not the one that was registered.
    pub fn load(&self, code: &CompiledCode) -> Result<Loaded, PackageError> {
        if !code.is_sound() {
            return Err(PackageError::CodeChanged {
                path: code.path().to_owned(),
            });
        }
        let load_error = |error: wasmtime::Error| PackageError::Load {
            path: code.path().to_owned(),
            error: format!("{error:#}"),
        };
        let component = self.map(code).map_err(load_error)?;
        let handler = self.prepare(&component).map_err(load_error)?;
        Ok(Loaded { handler })
    }

    #[allow(unsafe_code, reason = "compiled code is trusted like our own binary")]
    fn map(&self, code: &CompiledCode) -> wasmtime::Result<Component> {
        // SAFETY: the file was written by `CodeCache::keep` from the output of this engine, in a directory that
        // only our user can enter, and `CompiledCode::is_sound` has just held: it is the file whose seal was checked
        // when it was registered, or one whose seal fits now. Wasmtime itself refuses code of another version or
        // configuration.
        unsafe { Component::deserialize_file(&self.engine, code.path()) }
    }

    fn prepare(&self, component: &Component) -> wasmtime::Result<ProxyPre<HostState>> {
        ProxyPre::new(self.linker.instantiate_pre(component)?)
    }
}

/// Every interface of `wasi:http/proxy` and of `wasi:cli/imports`; the closed ones are closed by the context they
/// get, not by being absent, since a Rust guest imports them whether it uses them or not.
fn link(engine: &Engine) -> wasmtime::Result<Linker<HostState>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    Ok(linker)
}

/// Tells engines apart that cannot load each other's code.
fn compatibility(engine: &Engine) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
