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
            let own = own.filter_map(CompiledCode::name);
            needed.into_iter().flatten().chain(own)
        });
        each.collect()
    }

    /// The digest, in hexadecimal, of what a package's code is compiled from, which is its component with this digest
    /// or was made of it, and the files of what was made on the way, as far as they are there.
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
}
