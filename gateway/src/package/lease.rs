//! Leases: which cache files a running gateway uses, so that pruning leaves them alone.
//!
//! Whoever looks for code or creates some takes a shared lock, and pruning an exclusive one. Each gateway lists the
//! files that it uses in a file of its own, which it keeps locked for as long as it lives.

use std::{
    collections::BTreeSet,
    fs::{self, File, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use parking_lot::Mutex;
use tempfile::NamedTempFile;
use wasmgate_common::{create_private_dir, open_private};

use super::PackageError;

/// The file whose lock protects the cache.
const DOOR: &str = "door";

/// The prefix of a lease's file name.
const LEASE: &str = "lease-";

/// A lock on a cache, shared (open) or exclusive (shut).
pub(crate) struct Door {
    _locked: File,
}

/// This process' lease on files of one cache.
pub(super) struct Lease {
    directory: PathBuf,
    written: Mutex<Option<Written>>,
}

struct Written {
    path: PathBuf,
    file: File,
    names: BTreeSet<String>,
}

/// A lease file that was found in a cache.
pub(super) struct Found {
    pub(super) path: PathBuf,
    /// The files that its gateway uses; `None` if the gateway has ended.
    pub(super) names: Option<BTreeSet<String>>,
}

impl Door {
    /// Takes the shared lock; nobody removes files meanwhile.
    ///
    /// # Errors
    /// When the lock cannot be taken.
    fn open(directory: &Path) -> Result<Self, PackageError> {
        Self::take(
            directory,
            File::try_lock_shared,
            File::lock_shared,
            "another process tidies up the cache; waiting until it is done",
        )
    }

    /// Takes the exclusive lock; nobody looks for code or creates some meanwhile.
    ///
    /// # Errors
    /// When the lock cannot be taken.
    pub(super) fn shut(directory: &Path) -> Result<Self, PackageError> {
        Self::take(
            directory,
            File::try_lock,
            File::lock,
            "another process is just taking code from the cache or compiling; waiting until it is done",
        )
    }

    fn take(
        directory: &Path,
        attempt: impl Fn(&File) -> Result<(), TryLockError>,
        wait: impl Fn(&File) -> io::Result<()>,
        words: &str,
    ) -> Result<Self, PackageError> {
        let path = directory.join(DOOR);
        // It existed when the gateway started: somebody may have removed the directory by hand.
        if !directory.exists() {
            create_private_dir(directory)?;
        }
        let file = open_private(&path)?;
        let locked = match attempt(&file) {
            Err(TryLockError::WouldBlock) => {
                tracing::info!(cache = %directory.display(), "{words}");
                wait(&file)
            }
            Err(TryLockError::Error(error)) => Err(error),
            Ok(()) => Ok(()),
        };
        locked.map_err(|error| PackageError::Cache { path, error })?;
        Ok(Self { _locked: file })
    }
}

impl Lease {
    /// A lease without files.
    pub(super) fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            written: Mutex::new(None),
        }
    }

    /// Takes the shared lock; `None` on a file system without locks.
    pub(super) fn door(&self) -> Option<Door> {
        let door = Door::open(&self.directory);
        door.inspect_err(
            |error| tracing::warn!(%error, "`wasmgate cache prune` may take code away that is about to be used"),
        )
        .ok()
    }

    /// Adds files to the lease; the shared lock must be held.
    pub(super) fn add(&self, names: BTreeSet<String>) {
        self.hold(|held| held.union(&names).cloned().collect());
    }

    /// Replaces the files of the lease.
    pub(super) fn set(&self, names: BTreeSet<String>) {
        self.hold(|_| names);
    }

    fn hold(&self, change: impl FnOnce(&BTreeSet<String>) -> BTreeSet<String>) {
        let mut written = self.written.lock();
        let held = written.as_ref().map(|written| &written.names);
        let names = change(held.unwrap_or(&BTreeSet::new()));
        let done = match &mut *written {
            Some(written) if written.path.exists() => {
                written.names = names;
                written.write()
            }
            _ => self.begin(names).map(|begun| *written = Some(begun)),
        };
        if let Err(error) = done {
            tracing::warn!(%error, "the files of the cache that are in use cannot be noted; `wasmgate cache prune` may take them away");
        }
    }

    /// Locked before it gets its name: a lease without a lock belongs to a process that has ended.
    fn begin(&self, names: BTreeSet<String>) -> io::Result<Written> {
        for Found { path, .. } in leases(&self.directory).filter(|lease| lease.names.is_none()) {
            // Another gateway may have removed it already.
            let _ = fs::remove_file(path);
        }
        let mut file = NamedTempFile::new_in(&self.directory)?;
        file.as_file().lock()?;
        write(file.as_file_mut(), &names)?;
        let random = file
            .path()
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let path = self
            .directory
            .join(format!("{LEASE}{}", random.trim_start_matches('.')));
        let file = file.persist(&path)?;
        Ok(Written { path, file, names })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(written) = self.written.get_mut() {
            // It is obsolete from now on, and others would remove it too.
            let _ = fs::remove_file(&written.path);
        }
    }
}

impl Written {
    fn write(&mut self) -> io::Result<()> {
        write(&mut self.file, &self.names)
    }
}

fn write(file: &mut File, names: &BTreeSet<String>) -> io::Result<()> {
    let lines: String = names.iter().map(|name| format!("{name}\n")).collect();
    file.rewind()?;
    file.write_all(lines.as_bytes())?;
    file.set_len(lines.len() as u64)
}

/// The leases in a cache.
pub(super) fn leases(directory: &Path) -> impl Iterator<Item = Found> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let of_leases = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(LEASE));
    of_leases.filter_map(|entry| read(entry.path()))
}

fn read(path: PathBuf) -> Option<Found> {
    // It may have been removed.
    let mut file = File::open(&path).ok()?;
    // If that cannot be determined, the lease counts.
    let is_over = file.try_lock().is_ok();
    let names = if is_over {
        None
    } else {
        let mut lines = String::new();
        file.read_to_string(&mut lines).ok()?;
        Some(lines.lines().map(str::to_owned).collect())
    };
    Some(Found { path, names })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(all: &[&str]) -> BTreeSet<String> {
        all.iter().map(|name| (*name).to_owned()).collect()
    }

    fn held(directory: &Path) -> Vec<Option<BTreeSet<String>>> {
        leases(directory).map(|lease| lease.names).collect()
    }

    #[test]
    fn a_lease_names_what_is_held_until_its_process_lets_go() {
        let directory = tempfile::tempdir().unwrap();
        let lease = Lease::new(directory.path());
        assert!(held(directory.path()).is_empty());
        lease.add(names(&["one", "a-longer-name"]));
        lease.add(names(&["two"]));
        assert_eq!(
            held(directory.path()),
            [Some(names(&["one", "two", "a-longer-name"]))]
        );
        lease.set(names(&["two"]));
        assert_eq!(held(directory.path()), [Some(names(&["two"]))]);
        drop(lease);
        assert!(held(directory.path()).is_empty());
    }

    #[test]
    fn a_lease_that_a_killed_process_left_holds_nothing_and_the_next_one_removes_it() {
        let directory = tempfile::tempdir().unwrap();
        let left = directory.path().join("lease-left");
        fs::write(&left, "one\n").unwrap();
        assert_eq!(held(directory.path()), [None]);
        let lease = Lease::new(directory.path());
        lease.add(names(&["two"]));
        assert_eq!(held(directory.path()), [Some(names(&["two"]))]);
        assert!(!left.exists());
    }
}
