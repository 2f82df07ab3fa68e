//! Compiled code of replaced components. The last few of each package are kept for rollbacks; the others are removed
//! from the cache, which would otherwise grow with every save.

use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
    time::SystemTime,
};

use crate::{config::PackageName, gateway::Gateway, package::Registered};

/// How many are kept of each package.
const KEPT: usize = 3;

/// The compiled code that one gateway has replaced.
pub(super) struct Outdated {
    /// Older code may belong to another gateway that shares the directory.
    since: SystemTime,
    replaced: BTreeMap<PackageName, VecDeque<Registered>>,
}

impl Outdated {
    /// Nothing so far; code compiled `since` then is this gateway's.
    pub(super) fn new(since: SystemTime) -> Self {
        Self {
            since,
            replaced: BTreeMap::new(),
        }
    }

    /// Records that a package's code was replaced, and removes the oldest if there are too many and `serving` does not
    /// use it.
    pub(super) fn add(&mut self, package: &PackageName, code: Registered, serving: &Gateway) {
        let replaced = self.replaced.entry(package.clone()).or_default();
        replaced.retain(|other| other.code.path() != code.code.path());
        replaced.push_back(code);
        while replaced.len() > KEPT {
            let Some(oldest) = replaced.pop_front() else {
                return;
            };
            let path = oldest.code.path();
            let is_used = |other: &Registered| other.code.path() == path;
            let mut serving = serving.packages().iter();
            if !serving.any(|package| package.registered.as_ref().is_some_and(is_used)) && is_younger(path, self.since)
            {
                oldest.code.discard();
                if let Some(snapshot) = oldest.snapshot {
                    snapshot.discard();
                }
            }
        }
    }
}

fn is_younger(path: &Path, since: SystemTime) -> bool {
    let written = path.metadata().and_then(|file| file.modified());
    written.is_ok_and(|written| written >= since)
}
