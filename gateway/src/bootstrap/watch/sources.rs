//! The sources of packages with a build command, as last seen.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use ignore::{DirEntry, WalkBuilder};

use super::{
    stamp::Stamp,
    wanted::{absolute, nearest},
};
use crate::config::{BuildConfig, Config, PackageName, SourceGlob};

/// The tag of folders with reproducible contents (Cache Directory Tagging Specification), which Cargo puts into
/// `target`.
const CACHE_TAG: &str = "CACHEDIR.TAG";

/// The sources of each package.
#[derive(Default)]
pub(super) struct Sources(BTreeMap<PackageName, Tree>);

/// The sources of one package.
struct Tree {
    scope: Scope,
    files: HashMap<PathBuf, Stamp>,
    folders: BTreeSet<PathBuf>,
}

/// Which files are sources.
#[derive(Clone)]
struct Scope {
    /// `None`: all files of the folder.
    globs: Option<Arc<[SourceGlob]>>,
    folder: PathBuf,
    /// Files that are never sources: the configuration and what it names, the cache and the data.
    others: Arc<BTreeSet<PathBuf>>,
}

impl Sources {
    /// Scans the sources of all packages.
    pub(super) fn of(config: &Config, others: BTreeSet<PathBuf>) -> Self {
        let mut sources = Self::default();
        sources.turn_to(config, others);
        sources
    }

    /// Switches to another configuration, and keeps what is known of packages with the same sources.
    pub(super) fn turn_to(&mut self, config: &Config, others: BTreeSet<PathBuf>) {
        let others = Arc::new(others);
        let mut before = std::mem::take(&mut self.0);
        for package in &config.packages {
            let Some(build) = &package.build else {
                continue;
            };
            let scope = Scope::of(build, &others);
            let known = before
                .remove(&package.name)
                .filter(|tree| tree.scope.is_same(&scope));
            let tree = match known {
                Some(tree) => Tree { scope, ..tree },
                None => Tree::look(scope),
            };
            self.0.insert(package.name.clone(), tree);
        }
    }

    /// The folders to watch.
    pub(super) fn folders(&self) -> impl Iterator<Item = &PathBuf> {
        self.0.values().flat_map(|tree| &tree.folders)
    }

    /// Returns whether a path is in a folder of sources.
    pub(super) fn are_near(&self, path: &Path) -> bool {
        let folders = || self.0.values().map(|tree| &tree.folders);
        let is_one = |folder: &Path| folders().any(|folders| folders.contains(folder));
        is_one(path) || path.parent().is_some_and(is_one)
    }

    /// Scans again. Returns each package's files that have changed, or were `touched` meanwhile.
    pub(super) fn look(&mut self, touched: &HashSet<PathBuf>) -> BTreeMap<PackageName, BTreeSet<PathBuf>> {
        let each = self.0.iter_mut().filter_map(|(package, tree)| {
            let changed = tree.look_again(touched);
            (!changed.is_empty()).then(|| (package.clone(), changed))
        });
        each.collect()
    }

    /// The packages with sources written since a time, with these files.
    pub(super) fn written_since(&self, since: SystemTime) -> BTreeMap<PackageName, BTreeSet<PathBuf>> {
        let each = self.0.iter().filter_map(|(package, tree)| {
            let files = tree.files.iter().filter(|(_, stamp)| stamp.is_since(since));
            let files: BTreeSet<_> = files.map(|(file, _)| file.clone()).collect();
            (!files.is_empty()).then(|| (package.clone(), files))
        });
        each.collect()
    }
}

impl Tree {
    fn look(scope: Scope) -> Self {
        let mut tree = Self {
            files: HashMap::new(),
            folders: BTreeSet::new(),
            scope: scope.clone(),
        };
        match &scope.globs {
            None => {
                tree.folders.insert(nearest(&scope.folder));
                let mut walk = WalkBuilder::new(&scope.folder);
                tree.walk(walk.hidden(false).require_git(true), None);
            }
            Some(globs) => {
                for glob in globs.iter() {
                    let base = absolute(&glob.base);
                    // The base may be a file, and may not exist yet.
                    tree.folders.extend(base.parent().map(nearest));
                    let mut walk = WalkBuilder::new(&base);
                    tree.walk(walk.standard_filters(false), Some((&base, glob)));
                }
            }
        }
        tree
    }

    fn walk(&mut self, walk: &mut WalkBuilder, glob: Option<(&Path, &SourceGlob)>) {
        let others = Arc::clone(&self.scope.others);
        let walk = walk.filter_entry(move |entry| !is_kept_out(entry) && !others.contains(entry.path()));
        for entry in walk.build().flatten() {
            let (path, kind) = (entry.path(), entry.file_type());
            if kind.is_some_and(|kind| kind.is_dir()) {
                self.folders.insert(path.to_owned());
                continue;
            }
            let is_source = glob.is_none_or(|(base, glob)| match &glob.below {
                None => true,
                Some(below) => path
                    .strip_prefix(base)
                    .is_ok_and(|path| below.is_match(path)),
            });
            // Links are followed.
            if is_source && let Ok(metadata) = path.metadata() {
                self.files.insert(path.to_owned(), Stamp::of(&metadata));
            }
        }
    }

    fn look_again(&mut self, touched: &HashSet<PathBuf>) -> BTreeSet<PathBuf> {
        let now = Self::look(self.scope.clone());
        let is_other = |(file, stamp): &(&PathBuf, &Stamp)| {
            // Two writes within a tick of the kernel's clock may leave the same stamp.
            self.files.get(*file) != Some(stamp) || touched.contains(*file)
        };
        let other = now
            .files
            .iter()
            .filter(is_other)
            .map(|(file, _)| file.clone());
        let gone = self
            .files
            .keys()
            .filter(|file| !now.files.contains_key(*file))
            .cloned();
        let changed = other.chain(gone).collect();
        *self = now;
        changed
    }
}

impl Scope {
    fn of(build: &BuildConfig, others: &Arc<BTreeSet<PathBuf>>) -> Self {
        Self {
            globs: build.watch.as_deref().map(Arc::from),
            folder: absolute(&build.workdir),
            others: Arc::clone(others),
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        self.folder == other.folder && self.written() == other.written()
    }

    fn written(&self) -> Option<Vec<(&Path, Option<&str>)>> {
        let globs = self.globs.as_ref()?.iter();
        let written = globs.map(|glob| {
            let below = glob.below.as_ref().map(|below| below.glob().glob());
            (glob.base.as_path(), below)
        });
        Some(written.collect())
    }
}

/// Returns whether a directory entry is never a source: tools' own folders, build results, and editors' temporary
/// files.
fn is_kept_out(entry: &DirEntry) -> bool {
    // The configured folder itself is never excluded.
    if entry.depth() == 0 {
        return false;
    }
    let (name, path) = (entry.file_name(), entry.path());
    if entry.file_type().is_some_and(|kind| kind.is_dir()) {
        let is_target = || name == "target" && path.with_file_name("Cargo.toml").exists();
        return matches!(name.to_str(), Some(".git" | "node_modules")) || is_target() || path.join(CACHE_TAG).exists();
    }
    is_leaving(name)
}

/// Returns whether a name is a temporary file of Vim, Emacs or others.
fn is_leaving(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let ends = ["~", ".swp", ".swx", ".swo", ".tmp"];
    name.starts_with(".#")
        || (name.starts_with('#') && name.ends_with('#'))
        || name == "4913"
        || ends.iter().any(|end| name.ends_with(end))
}
