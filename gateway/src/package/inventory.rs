//! The cache's entries, who uses them, and the removal of unused ones.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use serde::Serialize;
use wasmgate_common::create_private_dir;

use super::{
    PackageError,
    lease::{Door, leases},
};

/// A file of the cache.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct Cached {
    /// Its path, relative to the cache directory.
    pub file: String,
    /// Its kind.
    pub kind: Kind,
    /// Its size.
    pub bytes: u64,
    /// The packages of the given configurations that use it.
    pub packages: BTreeSet<String>,
    /// Whether a running gateway uses it.
    pub is_served: bool,
}

/// The kind of a cache file.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Compiled code.
    Code,
    /// A blob from a registry.
    Pulled,
    /// The digest of a registry tag.
    Tag,
    /// A temporary file of a process that has ended.
    Leftover,
}

/// What configurations use, by package.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    /// Hexadecimal digests of components whose code is used.
    pub(crate) components: BTreeMap<String, BTreeSet<String>>,
    /// Files by relative path.
    pub(crate) files: BTreeMap<String, BTreeSet<String>>,
    /// The engine part of the names of current code files.
    pub(crate) engines: BTreeSet<String>,
}

impl Cached {
    /// Returns whether it is used.
    pub fn is_used(&self) -> bool {
        self.is_served || !self.packages.is_empty()
    }
}

/// All entries of the cache, sorted by kind, the largest first.
pub(crate) fn list(directory: &Path, uses: &Uses) -> Vec<Cached> {
    let served: BTreeSet<String> = leases(directory)
        .filter_map(|lease| lease.names)
        .flatten()
        .collect();
    let folders = ["", "registry/blobs/", "registry/tags/"];
    let mut all: Vec<_> = folders
        .iter()
        .flat_map(|folder| files(directory, folder))
        .filter_map(|(name, bytes)| {
            let kind = kind(&name)?;
            Some(Cached {
                packages: uses.of(&name),
                is_served: served.contains(&name),
                file: name,
                kind,
                bytes,
            })
        })
        .collect();
    all.sort_by(|one, other| (one.kind, other.bytes, &one.file).cmp(&(other.kind, one.bytes, &other.file)));
    all
}

/// Removes unused entries. Returns the removed and the remaining ones.
///
/// # Errors
/// When the directory is not private, or a file cannot be removed; earlier ones are removed then.
pub(crate) fn prune(directory: &Path, uses: &Uses) -> Result<(Vec<Cached>, Vec<Cached>), PackageError> {
    create_private_dir(directory)?;
    let _door = Door::shut(directory)?;
    for ended in leases(directory).filter(|lease| lease.names.is_none()) {
        remove(&ended.path)?;
    }
    let (stay, go): (Vec<_>, Vec<_>) = list(directory, uses).into_iter().partition(Cached::is_used);
    for cached in &go {
        remove(&directory.join(&cached.file))?;
    }
    Ok((go, stay))
}

fn remove(path: &Path) -> Result<(), PackageError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(PackageError::Cache {
            path: path.to_owned(),
            error,
        }),
        _ => Ok(()),
    }
}

/// The regular files in a folder, by relative path, with their sizes.
fn files(directory: &Path, folder: &str) -> Vec<(String, u64)> {
    let entries = fs::read_dir(directory.join(PathBuf::from(folder)))
        .into_iter()
        .flatten()
        .flatten();
    let files = entries.filter_map(|entry| {
        let metadata = entry.metadata().ok().filter(fs::Metadata::is_file)?;
        let name = entry.file_name().into_string().ok()?;
        Some((format!("{folder}{name}"), metadata.len()))
    });
    files.collect()
}

/// The kind of a file by its name; `None` for foreign files, which are left alone.
fn kind(name: &str) -> Option<Kind> {
    let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
    // Names made by `tempfile`.
    let random = file.strip_prefix(".tmp");
    if random.is_some_and(|random| random.len() == 6 && random.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
        return Some(Kind::Leftover);
    }
    match folder {
        "" => code(file).map(|_| Kind::Code),
        "registry/blobs" if is_digest(file) => Some(Kind::Pulled),
        "registry/tags" if is_digest(file) => Some(Kind::Tag),
        _ => None,
    }
}

/// The digest and engine in the name of a code file.
fn code(file: &str) -> Option<(&str, &str)> {
    let (digest, engine) = file.strip_suffix(".cwasm")?.split_once('-')?;
    is_digest(digest).then_some((digest, engine))
}

fn is_digest(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl Uses {
    /// The packages that use a file.
    fn of(&self, name: &str) -> BTreeSet<String> {
        // Code of another version of the gateway is useless to this one.
        let ours = code(name).filter(|(_, engine)| self.engines.iter().any(|ours| engine.starts_with(ours)));
        let compiled = ours.and_then(|(digest, _)| self.components.get(digest));
        compiled
            .or_else(|| self.files.get(name))
            .cloned()
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USED: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const OTHER: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn uses() -> Uses {
        let site = BTreeSet::from(["site".to_owned()]);
        Uses {
            components: BTreeMap::from([(USED.to_owned(), site.clone())]),
            files: BTreeMap::from([(format!("registry/blobs/{USED}"), site)]),
            engines: BTreeSet::from(["00e1".to_owned()]),
        }
    }

    #[test]
    fn what_nobody_uses_goes_and_what_is_not_of_the_cache_stays() {
        let directory = tempfile::tempdir().unwrap();
        let cache = directory.path().join("cache");
        fs::create_dir_all(cache.join("registry/blobs")).unwrap();
        fs::create_dir_all(cache.join("registry/tags")).unwrap();
        let [used, image] = ["00e1", "00e1-image"].map(|engine| format!("{USED}-{engine}.cwasm"));
        let used_blob = format!("registry/blobs/{USED}");
        let stays = [
            &used,
            &image,
            &used_blob,
            "notes.txt",
            ".tmpdir",
            "registry/blobs/notes",
        ];
        let goes = [
            &format!("{USED}-00e2.cwasm"),
            &format!("{OTHER}-00e1.cwasm"),
            &format!("registry/blobs/{OTHER}"),
            &format!("registry/tags/{OTHER}"),
            ".tmpAb3xYz",
            "registry/blobs/.tmpAb3xYz",
            "lease-left",
        ];
        for name in stays.iter().chain(&goes) {
            fs::write(cache.join(name), "bytes").unwrap();
        }
        let (removed, kept) = prune(&cache, &uses()).unwrap();
        assert_eq!((removed.len(), kept.len()), (goes.len() - 1, 3));
        for name in stays {
            assert!(cache.join(name).exists(), "{name}");
        }
        for name in goes {
            assert!(!cache.join(name).exists(), "{name}");
        }
    }

    #[test]
    fn a_directory_that_others_may_write_is_left_as_it_is() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let refused = prune(directory.path(), &uses());
        assert!(matches!(refused, Err(PackageError::NotPrivate(_))));
    }
}
