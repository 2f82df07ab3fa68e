//! Records which cache files packages use.

use std::{collections::BTreeSet, path::Path};

use sha2::{Digest as _, Sha256};

use super::{
    super::{PackageError, adapt, cache::CompiledCode, lease::Door},
    Loader, Registered, compatibility, snapshots,
};
use crate::{
    config::{Kind, PackageConfig},
    engine::{EngineId, EngineKind, StackSize, World},
};

impl Loader {
    /// Takes the cache's shared lock: nobody removes files meanwhile.
    pub(crate) fn door(&self) -> Option<Door> {
        self.lease.door()
    }

    /// Adds the files of these packages to the process' lease.
    pub(crate) fn hold_too<'a>(&self, registered: impl Iterator<Item = &'a Registered>) {
        self.lease.add(self.files(registered));
    }

    /// Restricts the lease to the files of these packages.
    pub(crate) fn hold_only<'a>(&self, registered: impl Iterator<Item = &'a Registered>) {
        self.lease.set(self.files(registered));
    }

    /// The cache files that packages use.
    fn files<'a>(&self, registered: impl Iterator<Item = &'a Registered>) -> BTreeSet<String> {
        let each = registered.flat_map(|registered| {
            let pulled = registered.pulled.as_ref();
            let needed = pulled.map(|pulled| self.registry.needed(&pulled.reference, Some(pulled)).files);
            let own = [Some(&registered.code), registered.snapshot.as_ref()]
                .into_iter()
                .flatten();
            let own = own.filter_map(CompiledCode::name);
            needed.into_iter().flatten().chain(own)
        });
        each.collect()
    }

    /// The hexadecimal digest of what a package's code is compiled from, which is its component or is derived from it,
    /// and the files of intermediate results, as far as they exist.
    pub(crate) fn compiled_of(&self, package: &PackageConfig, component: String) -> (String, Vec<String>) {
        let (mut last, mut files) = (component, Vec::new());
        let adapted = (package.kind == Kind::Cgi).then_some(adapt::KEY.as_str());
        let snapshot = package.snapshot.then_some(snapshots::KEY);
        for key in [adapted, snapshot].into_iter().flatten() {
            if let Some(kept) = self.cache.kept(&last, key)
                && let Ok(made) = kept.read()
            {
                last = hex::encode(Sha256::digest(made));
                files.extend(kept.name());
            }
        }
        (last, files)
    }

    /// The engine parts of the names of current code files.
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
}
