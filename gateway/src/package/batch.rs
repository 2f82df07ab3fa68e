//! Registers packages together: those with the same component share the work.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::{PackageError, Registered};
use crate::{
    config::{Kind, PackageConfig, Sha256Digest},
    engine::{EngineKind, StackSize},
    registry::Pulled,
};

/// The results so far, for components from registries: only their contents are known beforehand, by digest.
#[derive(Default)]
pub(crate) struct Batch(Mutex<HashMap<Key, Option<Registered>>>);

/// Everything that a result depends on.
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
    /// The result for a package (`pulled` if it comes from a registry), computed by `register` if it is not known.
    ///
    /// # Errors
    /// Those of `register`, which are not shared.
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
        // Not under the lock: others must not wait for a compiler.
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
