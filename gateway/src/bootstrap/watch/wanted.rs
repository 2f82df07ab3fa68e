//! Which files to react to, and which folders to watch for them.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::{Component, Path, PathBuf},
};

use super::stamp::Stamp;
use crate::config::{Config, Source};

/// The maximum number of links that are followed, as in the kernel.
const MAX_LINKS: usize = 40;

/// Files by absolute path, with all symbolic links on the way to them.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    files: BTreeSet<PathBuf>,
    /// Folders of which every file counts.
    whole: BTreeSet<PathBuf>,
}

impl Wanted {
    /// All files that a configuration was read from or names.
    pub(super) fn of(config: &Config) -> Self {
        let mut wanted = Self::default();
        wanted.add(config);
        wanted
    }

    /// Adds what another configuration names.
    pub(super) fn add(&mut self, config: &Config) {
        for file in config.input.files() {
            self.add_file(file);
        }
        for package in &config.packages {
            if let Source::File(source) = &package.source {
                self.add_file(source);
            }
        }
        if let Some(components) = &config.dapr.components {
            self.add_file(components);
            self.whole.insert(absolute(components));
            let inner = fs::read_dir(components).into_iter().flatten().flatten();
            for entry in inner {
                self.add_file(&entry.path());
            }
        }
        self.add_file(&config.dapr.data.join("secrets.json"));
    }

    /// Adds a file and all links on the way to it: Kubernetes swaps a linked folder.
    fn add_file(&mut self, file: &Path) {
        let mut file = absolute(file);
        for _ in 0..MAX_LINKS {
            self.files.insert(file.clone());
            let Some(target) = first_link(&file) else {
                return;
            };
            self.files.insert(target.link);
            file = target.leads_to;
        }
    }

    /// The folders to watch, by absolute path.
    pub(super) fn folders(&self) -> BTreeSet<PathBuf> {
        let parents = self.files.iter().filter_map(|file| file.parent());
        let parents = parents.map(nearest);
        parents.chain(self.whole.iter().cloned()).collect()
    }

    /// Returns whether a change at a path matters.
    pub(super) fn concerns(&self, path: &Path) -> bool {
        let is_wanted = self.files.contains(path)
            || path
                .parent()
                .is_some_and(|folder| self.whole.contains(folder));
        // A parent folder was created, moved or removed.
        is_wanted || self.files.iter().any(|file| file.starts_with(path))
    }

    /// The current stamp of each file.
    pub(super) fn marks(&self) -> HashMap<PathBuf, Option<Stamp>> {
        let whole = self
            .whole
            .iter()
            .filter_map(|folder| fs::read_dir(folder).ok());
        let entries = whole.flatten().flatten().map(|entry| entry.path());
        let paths = self.files.iter().cloned().chain(entries);
        let marked = paths.map(|path| {
            let stamp = Stamp::of_link(&path);
            (path, stamp)
        });
        marked.collect()
    }

    /// Files that are never sources: these, and the folders that the gateway writes to.
    pub(super) fn no_sources(&self, config: &Config) -> BTreeSet<PathBuf> {
        let folders = [&config.server.cache, &config.dapr.data].map(|folder| absolute(folder));
        self.files.iter().cloned().chain(folders).collect()
    }
}

/// The paths at which a file may change: its own, and those of links on the way to it.
pub(super) fn ways_to(file: &Path) -> BTreeSet<PathBuf> {
    let mut wanted = Wanted::default();
    wanted.add_file(file);
    wanted.files
}

/// A path with a link in it.
struct Linked {
    link: PathBuf,
    leads_to: PathBuf,
}

/// The first symbolic link on the way to a file.
fn first_link(file: &Path) -> Option<Linked> {
    let mut way = PathBuf::new();
    let mut rest = file.components();
    while let Some(step) = rest.next() {
        way.push(step);
        if let Ok(target) = fs::read_link(&way) {
            let from = way.parent().unwrap_or(Path::new("/"));
            let leads_to = plain(&from.join(target).join(rest.as_path()));
            return Some(Linked {
                link: way,
                leads_to,
            });
        }
    }
    None
}

/// The folder itself, or its nearest existing parent.
pub(super) fn nearest(folder: &Path) -> PathBuf {
    let there = folder.ancestors().find(|folder| folder.is_dir());
    there.unwrap_or(Path::new("/")).to_owned()
}

pub(super) fn absolute(path: &Path) -> PathBuf {
    plain(&std::path::absolute(path).unwrap_or_else(|_| path.to_owned()))
}

/// A path without `.` and `..`, resolved lexically.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for step in path.components() {
        match step {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            step => plain.push(step),
        }
    }
    plain
}
