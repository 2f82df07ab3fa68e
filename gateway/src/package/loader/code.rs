//! Compiles a component, or finds its code on disk.

use std::{
    fs::File,
    io::{Read, Seek as _},
    path::Path,
};

use wasmtime::component::Component;

use super::{
    super::{
        PackageError,
        cache::CompiledCode,
        check,
        compiler::{Compiler, Task},
        image::Imaged,
        pieces, shipped,
    },
    Loader,
    load::map_made,
};
use crate::{engine::EngineId, registry::Pulled};

impl Loader {
    /// The code of a component: from the cache, `shipped` with it, or compiled.
    pub(super) fn code(&self, work: Work<'_>, shipped: Option<&Pulled>) -> Result<CompiledCode, PackageError> {
        if let Some(code) = self.cache.find(work.bytes, work.key) {
            self.metrics.cache_hits.inc();
            return Ok(code);
        }
        // Observed when it is dropped.
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
            // Another thread compiled it, and refused or lost the result: try again for this package.
        }
    }

    /// Compiles a component in a separate process; `None` if another thread has just compiled the same one.
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

    /// Uses the compiled code that was pushed with a component, if it matches this gateway; `None` if it has to be
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
            // Another thread was doing it.
            Ok(None) => self.cache.find(work.bytes, work.key),
            Err(_) => None,
        }
    }

    /// Checks a component's new code, and stores it.
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
        let component = Component::new(self.engine(id, source)?, pieces::in_pieces(work.compiled()));
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

    /// Stores code of this length, followed by the images of the extracted data.
    fn keep(&self, work: Work<'_>, code: impl Read, length: u64) -> Result<CompiledCode, PackageError> {
        match work.imaged {
            None => self.cache.keep(work.bytes, work.key, code),
            Some(imaged) => self
                .cache
                .keep(work.bytes, work.key, code.chain(imaged.behind(length))),
        }
    }

    /// Refuses a component that exceeds limits or cannot be linked.
    fn check(&self, id: EngineId, component: &Component, source: &Path) -> Result<(), PackageError> {
        check::parts(component, source)?;
        self.prepare(id, component)
            .map_err(|error| check::missing_imports(component, source, &error))?;
        Ok(())
    }
}

/// A component to compile.
#[derive(Clone, Copy)]
pub(super) struct Work<'a> {
    pub(super) id: EngineId,
    /// The original component.
    pub(super) bytes: &'a [u8],
    /// What is compiled instead, and its images.
    pub(super) imaged: Option<&'a Imaged>,
    /// The key of the engine's code.
    pub(super) key: &'a str,
    /// Its name in messages.
    pub(super) source: &'a Path,
}

impl<'a> Work<'a> {
    fn compiled(&self) -> &'a [u8] {
        self.imaged.map_or(self.bytes, Imaged::component)
    }
}
