//! The components that build commands produce, as last seen.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use super::{
    builds::Builds,
    stamp::Stamp,
    wanted::{absolute, ways_to},
};
use crate::config::{Config, PackageConfig, PackageName};

/// Components, by all paths at which they change.
#[derive(Default)]
pub(super) struct Made(HashMap<PathBuf, Component>);

struct Component {
    /// The packages that build it.
    by: Vec<PackageName>,
    stamp: Option<Stamp>,
}

impl Made {
    /// Records all of a configuration.
    pub(super) fn of(config: &Config) -> Self {
        let mut made = Self::default();
        let built = config.packages.iter();
        for package in built.filter(|package| package.build.is_some()) {
            for path in package.source.file().into_iter().flat_map(ways_to) {
                let stamp = Stamp::at(&path);
                let component = made.0.entry(path).or_insert_with(|| Component {
                    by: Vec::new(),
                    stamp,
                });
                component.by.push(package.name.clone());
            }
        }
        made
    }

    /// Returns whether a path is a component that is being built, or is unchanged: the end of the build causes the
    /// reload.
    pub(super) fn is_expected(&mut self, path: &Path, builds: &Builds) -> bool {
        let Some(component) = self.0.get_mut(path) else {
            return false;
        };
        if component
            .by
            .iter()
            .any(|package| builds.is_at_work(package))
        {
            return true;
        }
        let now = Stamp::at(path);
        std::mem::replace(&mut component.stamp, now) == now
    }

    /// Returns whether a package's component is being built, and is missing or has changed.
    pub(super) fn is_awaited(&self, package: &PackageConfig, builds: &Builds) -> bool {
        let is_other = |file: &Path| {
            let known = self.0.get(&absolute(file));
            known.is_none_or(|known| known.stamp != Stamp::at(file))
        };
        builds.is_under_way(&package.name)
            && (!package.source.is_there() || package.source.file().is_some_and(is_other))
    }
}
