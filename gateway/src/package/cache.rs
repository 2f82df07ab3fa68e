//! Compiled code on disk, so that a second start compiles nothing.
//!
//! A file is named for the digest of its source and for the engine that compiled it, is written whole or not at
//! all, and lies beside a file with its own digest. Loading compiled code is trusting it like our own binary, so
//! the directory belongs to us alone and a file whose digest does not fit is as good as absent.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::PackageError;

/// Owner may enter and write; nobody else may even look.
const OWNER_ONLY: u32 = 0o700;

/// The directory of compiled code for one engine.
#[derive(Debug)]
pub struct CodeCache {
    directory: PathBuf,
    engine: String,
}

/// Compiled code that was whole when it was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompiledCode {
    path: PathBuf,
    stamp: Stamp,
}

/// What tells a file from one that was put in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    modified_ns: i128,
}

impl CodeCache {
    /// Opens `directory`, making it if need be; `engine` tells engines apart that cannot load each other's code.
    ///
    /// # Errors
    /// When the directory cannot be made, closed to others, or written.
    pub fn open(directory: &Path, engine: String) -> Result<Self, PackageError> {
        let prepare = || {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(OWNER_ONLY)
                .create(directory)?;
            fs::set_permissions(directory, fs::Permissions::from_mode(OWNER_ONLY))?;
            tempfile::tempfile_in(directory)
        };
        prepare().map_err(|error| PackageError::Cache {
            path: directory.to_owned(),
            error,
        })?;
        Ok(Self {
            directory: directory.to_owned(),
            engine,
        })
    }

    /// Code compiled earlier from `source`, if it is there and whole.
    pub fn find(&self, source: &[u8]) -> Option<CompiledCode> {
        let path = self.path(source);
        let expected = fs::read(sum_path(&path)).ok()?;
        let code = fs::read(&path).ok()?;
        if expected != hex_digest(&code).as_bytes() {
            tracing::warn!(file = %path.display(), "compiled code is damaged and will be compiled again");
            return None;
        }
        CompiledCode::at(path).ok()
    }

    /// Keeps `code`, compiled from `source`.
    ///
    /// # Errors
    /// When it cannot be written; what was there before is still there then.
    pub fn keep(&self, source: &[u8], code: &[u8]) -> Result<CompiledCode, PackageError> {
        let path = self.path(source);
        let write = || {
            // The digest goes last: until it is there the code does not count.
            self.write_whole(&path, code)?;
            self.write_whole(&sum_path(&path), hex_digest(code).as_bytes())?;
            CompiledCode::at(path.clone())
        };
        write().map_err(|error| PackageError::Cache {
            path: path.clone(),
            error,
        })
    }

    fn path(&self, source: &[u8]) -> PathBuf {
        self.directory
            .join(format!("{}-{}.cwasm", hex_digest(source), self.engine))
    }

    fn write_whole(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        File::open(&self.directory)?.sync_all()
    }
}

impl CompiledCode {
    fn at(path: PathBuf) -> io::Result<Self> {
        let stamp = Stamp::of(&path)?;
        Ok(Self { path, stamp })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file is still the one that was looked at, told without reading it.
    pub fn is_unchanged(&self) -> bool {
        Stamp::of(&self.path).is_ok_and(|stamp| stamp == self.stamp)
    }
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self {
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified_ns: i128::from(metadata.mtime()) * 1_000_000_000
                + i128::from(metadata.mtime_nsec()),
        })
    }
}

fn sum_path(path: &Path) -> PathBuf {
    path.with_extension("sha256")
}

fn hex_digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> (tempfile::TempDir, CodeCache) {
        let directory = tempfile::tempdir().unwrap();
        let cache = CodeCache::open(&directory.path().join("code"), "e1".to_owned()).unwrap();
        (directory, cache)
    }

    #[test]
    fn kept_code_is_found_by_its_source_and_engine_only() {
        let (directory, cache) = cache();
        let kept = cache.keep(b"source", b"code").unwrap();
        assert_eq!(cache.find(b"source"), Some(kept));
        assert_eq!(cache.find(b"another"), None);
        let other = CodeCache::open(&directory.path().join("code"), "e2".to_owned()).unwrap();
        assert_eq!(other.find(b"source"), None);
    }

    #[test]
    fn damaged_code_or_a_missing_digest_is_as_good_as_absent() {
        let (_directory, cache) = cache();
        let kept = cache.keep(b"source", b"code").unwrap();
        fs::write(kept.path(), b"c0de").unwrap();
        assert_eq!(cache.find(b"source"), None);
        let kept = cache.keep(b"source", b"code").unwrap();
        fs::remove_file(sum_path(kept.path())).unwrap();
        assert_eq!(cache.find(b"source"), None);
    }

    #[test]
    fn a_replaced_file_is_noticed_without_reading_it() {
        let (_directory, cache) = cache();
        let kept = cache.keep(b"source", b"code").unwrap();
        assert!(kept.is_unchanged());
        cache.keep(b"source", b"c0de").unwrap();
        assert!(!kept.is_unchanged());
    }

    #[test]
    fn the_directory_is_closed_to_others() {
        let (directory, _cache) = cache();
        let mode = fs::metadata(directory.path().join("code"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, OWNER_ONLY);
    }
}
