//! Registers packages together: those with the same component share the work.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::{PackageError, Registered};
use crate::{
    config::{Kind, PackageConfig, Sha256Digest},
    engine::{EngineKind, StackSize},
    registry::Pulled,
};

/// What was found so far, of components from registries: of these alone it is known beforehand what is in them.
#[derive(Default)]
pub(crate) struct Batch(Mutex<HashMap<Key, Option<Registered>>>);

/// All that what is found depends on.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    component: Sha256Digest,
    code: Vec<Sha256Digest>,
    takes_code: bool,
    engine: Option<EngineKind>,
    pinned: Option<Sha256Digest>,
    kind: Kind,
    is_middleware: bool,
    is_reused: bool,
    memory: u64,
    snapshot: bool,
    stack: StackSize,
}

impl Batch {
    /// What is found of a package, which was `pulled` if it comes from a registry, if anything is; `register` finds it
    /// out.
    ///
    /// # Errors
    /// With those of `register`, which are kept for nobody else.
    pub(crate) fn of(
        &self,
        package: &PackageConfig,
        pulled: Option<&Pulled>,
        register: impl FnOnce() -> Result<Option<Registered>, PackageError>,
    ) -> Result<Option<Registered>, PackageError> {
        let Some(pulled) = pulled else {
            return register();
        };
        let key = Key {
            component: pulled.component,
            code: pulled.code.clone(),
            takes_code: package.compiled,
            engine: package.engine,
            pinned: package.sha256,
            kind: package.kind,
            is_middleware: package.next.is_some(),
            is_reused: package.reuse > 1,
            memory: package.limits.memory,
            snapshot: package.snapshot,
            stack: package.limits.stack,
        };
        // Not under the lock: others are not to wait for a compiler.
        let known = self.0.lock().get(&key).cloned();
        if let Some(known) = known {
            return Ok(known.map(|known| Registered {
                pulled: Some(pulled.clone()),
                ..known
            }));
        }
        let registered = register()?;
        self.0.lock().insert(key, registered.clone());
        Ok(registered)
    }
}
