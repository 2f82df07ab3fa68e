//! Compiled code on disk, so that a second start compiles nothing.
//!
//! A file is named by the digests of its source and of the engine that compiled it, is written atomically, and ends
//! with a seal: the digest of that name and the code together. Loading compiled code means trusting it like our own
//! binary, so only the owner may access the directory, and a file with a wrong seal is treated as absent.

use std::{
    fs,
    io::{self, Read, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};
use wasmgate_common::{check_private, create_private_dir};

use super::PackageError;

/// A SHA-256 after the code, which wasmtime ignores.
const SEAL_BYTES: usize = 32;

/// The directory of compiled code.
#[derive(Debug)]
pub(super) struct CodeCache {
    directory: PathBuf,
}

/// Compiled code that was valid when it was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompiledCode {
    path: PathBuf,
    stamp: Stamp,
}

/// Compiled code that cannot be used.
#[derive(Debug)]
pub enum Unfit {
    /// The file is not there.
    Gone,
    /// The file was read, and its seal does not match.
    Damaged,
    /// The file cannot be read now, which says nothing about its contents.
    Unreadable(io::Error),
}

/// File metadata that identifies a file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    modified_ns: i128,
}

impl CodeCache {
    /// Opens `directory`, creating it if necessary.
    ///
    /// # Errors
    /// When the directory cannot be created, made private, or written.
    pub(super) fn open(directory: &Path) -> Result<Self, PackageError> {
        create_private_dir(directory)?;
        tempfile::tempfile_in(directory).map_err(|error| PackageError::Cache {
            path: directory.to_owned(),
            error,
        })?;
        Ok(Self {
            directory: directory.to_owned(),
        })
    }

    /// Code compiled from `source` by `engine`, if it exists and is valid.
    pub(super) fn find(&self, source: &[u8], engine: &str) -> Option<CompiledCode> {
        let path = self.path(source, engine);
        if let Err(error) = check_private(&path) {
            tracing::warn!(%error, "compiled code that is not ours will be compiled again");
            return None;
        }
        let code = CompiledCode::at(path).ok()?;
        match code.verify() {
            Ok(()) => Some(code),
            Err(Unfit::Gone) => None,
            Err(Unfit::Damaged) => {
                tracing::warn!(file = %code.path.display(), "compiled code is damaged and will be compiled again");
                None
            }
            Err(Unfit::Unreadable(error)) => {
                tracing::warn!(file = %code.path.display(), %error, "compiled code cannot be read and will be compiled again");
                None
            }
        }
    }

    /// Stores all of `code`, compiled from `source` by `engine`.
    ///
    /// # Errors
    /// When it cannot be written; the previous file is kept then.
    pub(super) fn keep(&self, source: &[u8], engine: &str, mut code: impl Read) -> Result<CompiledCode, PackageError> {
        let path = self.path(source, engine);
        let mut write = || {
            let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
            let mut seal = seal_of(&path);
            let mut part = vec![0; 64 << 10];
            loop {
                let length = code.read(&mut part)?;
                let Some(read) = part.get(..length).filter(|read| !read.is_empty()) else {
                    break;
                };
                seal.update(read);
                file.write_all(read)?;
            }
            file.write_all(&seal.finalize())?;
            // Not synced: a file that a crash left truncated has no valid seal, and is compiled again.
            file.persist(&path)?;
            CompiledCode::at(path.clone())
        };
        write().map_err(|error| PackageError::Cache {
            path: path.clone(),
            error,
        })
    }

    /// What is stored under `key` for the source with this hexadecimal digest, if it exists.
    pub(super) fn kept(&self, digest: &str, key: &str) -> Option<CompiledCode> {
        CompiledCode::at(self.directory.join(name_of(digest, key))).ok()
    }

    /// Its path.
    pub(super) fn path(&self, source: &[u8], engine: &str) -> PathBuf {
        self.directory.join(name(source, engine))
    }
}

fn name(source: &[u8], engine: &str) -> String {
    name_of(&hex::encode(Sha256::digest(source)), engine)
}

fn name_of(digest: &str, engine: &str) -> String {
    format!("{digest}-{engine}.cwasm")
}

impl CompiledCode {
    fn at(path: PathBuf) -> io::Result<Self> {
        let stamp = Stamp::read(&path)?;
        Ok(Self { path, stamp })
    }

    /// Returns whether `engine` compiled it from `source`.
    pub(super) fn is_of(&self, source: &[u8], engine: &str) -> bool {
        self.path
            .file_name()
            .is_some_and(|own| own == name(source, engine).as_str())
    }

    /// The name of its file.
    pub(super) fn name(&self) -> Option<String> {
        Some(self.path.file_name()?.to_string_lossy().into_owned())
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The number of bytes before the seal.
    pub(super) fn bytes(&self) -> u64 {
        self.stamp.bytes.saturating_sub(SEAL_BYTES as u64)
    }

    /// Reads the code.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn read(&self) -> io::Result<Vec<u8>> {
        let mut file = fs::read(&self.path)?;
        file.truncate(file.len().saturating_sub(SEAL_BYTES));
        Ok(file)
    }

    /// Checks that the file can be loaded: it is still the one that was checked, which is told from its metadata, or
    /// another one with a valid seal, as when two gateways share a directory.
    ///
    /// # Errors
    /// When it is not, or when it cannot be checked now.
    pub fn check(&self) -> Result<(), Unfit> {
        match Stamp::read(&self.path) {
            Ok(stamp) if stamp == self.stamp => Ok(()),
            Ok(_) => self.verify(),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads the file and checks its seal.
    ///
    /// # Errors
    /// When it does not match, or when it cannot be checked now.
    pub fn verify(&self) -> Result<(), Unfit> {
        let file = fs::read(&self.path)?;
        match file.split_last_chunk::<SEAL_BYTES>() {
            Some((code, found)) if *found == seal(&self.path, code) => Ok(()),
            _ => Err(Unfit::Damaged),
        }
    }

    /// Removes code that cannot be used after all, so that it is compiled again.
    pub fn discard(&self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(file = %self.path.display(), %error, "compiled code that cannot be used stays");
        }
    }
}

impl From<io::Error> for Unfit {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Gone,
            _ => Self::Unreadable(error),
        }
    }
}

impl Stamp {
    fn read(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self {
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified_ns: i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec()),
        })
    }
}

/// The seal of `code` at `path`; it depends only on the file name, so the directory may be moved.
fn seal(path: &Path, code: &[u8]) -> [u8; SEAL_BYTES] {
    seal_of(path).chain_update(code).finalize().into()
}

/// The start of the seal's hash, before the code.
fn seal_of(path: &Path) -> Sha256 {
    let name = path.file_name().unwrap_or_default();
    Sha256::new().chain_update(name.as_encoded_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> (tempfile::TempDir, CodeCache) {
        let directory = tempfile::tempdir().unwrap();
        let cache = CodeCache::open(&directory.path().join("code")).unwrap();
        (directory, cache)
    }

    #[test]
    fn kept_code_is_found_by_its_source_and_engine_only() {
        let (_directory, cache) = cache();
        let kept = cache.keep(b"source", "e1", &b"code"[..]).unwrap();
        assert_eq!(cache.find(b"source", "e1"), Some(kept));
        assert_eq!(cache.find(b"another", "e1"), None);
        assert_eq!(cache.find(b"source", "e2"), None);
    }

    #[test]
    fn damaged_code_is_as_good_as_absent() {
        let (_directory, cache) = cache();
        let kept = cache.keep(b"source", "e1", &b"code"[..]).unwrap();
        let mut bytes = fs::read(kept.path()).unwrap();
        bytes[0] ^= 1;
        fs::write(kept.path(), &bytes).unwrap();
        assert_eq!(cache.find(b"source", "e1"), None);
        fs::write(kept.path(), b"short").unwrap();
        assert_eq!(cache.find(b"source", "e1"), None);
    }

    #[test]
    fn another_packages_code_does_not_count_under_this_ones_name() {
        let (_directory, cache) = cache();
        let kept = cache.keep(b"source", "e1", &b"code"[..]).unwrap();
        let other = cache.keep(b"another", "e1", &b"its code"[..]).unwrap();
        fs::copy(other.path(), kept.path()).unwrap();
        assert_eq!(cache.find(b"source", "e1"), None);
        assert!(matches!(kept.check(), Err(Unfit::Damaged)));
    }

    #[test]
    fn a_file_that_was_replaced_counts_only_if_its_seal_fits() {
        let (_directory, cache) = cache();
        let kept = cache.keep(b"source", "e1", &b"code"[..]).unwrap();
        assert!(kept.check().is_ok());
        cache
            .keep(b"source", "e1", &b"code of another build"[..])
            .unwrap();
        assert!(kept.check().is_ok());
        fs::write(kept.path(), b"not code").unwrap();
        assert!(matches!(kept.check(), Err(Unfit::Damaged)));
    }

    #[test]
    fn code_that_another_user_could_have_put_there_does_not_count() {
        use std::os::unix::fs::PermissionsExt as _;
        let (_directory, cache) = cache();
        let kept = cache.keep(b"source", "e1", &b"code"[..]).unwrap();
        fs::set_permissions(kept.path(), fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(cache.find(b"source", "e1"), None);
        // Compiled again, it is ours again.
        cache.keep(b"source", "e1", &b"code"[..]).unwrap();
        assert!(cache.find(b"source", "e1").is_some());
    }

    #[test]
    fn a_directory_that_others_may_write_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let refused = CodeCache::open(directory.path());
        assert!(matches!(refused, Err(PackageError::NotPrivate(_))));
    }
}
