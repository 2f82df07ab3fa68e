//! Snapshots of components after their start-up, cached beside compiled code.

use std::{io::Seek as _, path::Path};

use super::{
    super::{
        PackageError,
        cache::CompiledCode,
        check,
        compiler::{Compiler, Task, Uncompiled},
        snapshot,
    },
    Loader,
};
use crate::engine;

/// Used in place of an engine's key: another version of the gateway may write snapshots differently.
pub(super) const KEY: &str = concat!("snapshot-", env!("CARGO_PKG_VERSION"));

impl Loader {
    /// The stored snapshot of a component, if it exists.
    pub(super) fn kept_snapshot(&self, bytes: &[u8]) -> Option<CompiledCode> {
        self.cache.find(bytes, KEY)
    }

    /// The same; the start-up runs if it does not exist yet.
    ///
    /// # Errors
    /// When no snapshot can be taken or stored.
    pub(super) fn snapshot(&self, bytes: &[u8], memory: u64, source: &Path) -> Result<CompiledCode, PackageError> {
        loop {
            let kept = match self.kept_snapshot(bytes) {
                Some(kept) => Some(kept),
                None if Compiler::is_apart() => self.take_apart(bytes, memory, source)?,
                None => Some(self.take_here(bytes, memory, source)?),
            };
            // `None` means that another thread has taken it: look again, or try for this package.
            if let Some(kept) = kept {
                return Ok(kept);
            }
        }
    }

    /// Runs the start-up in a separate process; `None` if another thread has just run the same one.
    fn take_apart(&self, bytes: &[u8], memory: u64, source: &Path) -> Result<Option<CompiledCode>, PackageError> {
        let name = self.cache.path(bytes, KEY);
        let task = Task::StartUp(self.compiler.start_up(memory));
        let made = self.compiler.make(&name, task, bytes, |mut made| {
            made.rewind().map_err(|error| PackageError::Cache {
                path: name.clone(),
                error,
            })?;
            self.cache.keep(bytes, KEY, made)
        });
        match made {
            Ok(made) => made.transpose(),
            Err(why) => Err(check::not_compiled(why, source)),
        }
    }

    /// Runs the start-up in this process.
    fn take_here(&self, bytes: &[u8], memory: u64, source: &Path) -> Result<CompiledCode, PackageError> {
        let not_compiled = |why| check::not_compiled(why, source);
        let engine = engine::for_start_ups().map_err(|error| not_compiled(Uncompiled::Broken(format!("{error:#}"))))?;
        let made = snapshot::take(bytes, &engine, self.compiler.start_up(memory))
            .map_err(|why| not_compiled(Uncompiled::NoSnapshot(why)))?;
        self.cache.keep(bytes, KEY, made.as_slice())
    }
}
