//! What was pulled, on disk: blobs by digest, and the digests of tags.
//!
//! A blob is written atomically, and is valid only if its bytes match its digest when they are read. So any number of
//! gateways may share the folder, and it needs no more trust than the registry. It is closed to other users anyway,
//! since the digest of a tag is trusted while its registry does not answer, and so is the digest of the component that
//! was found in an image.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use wasmgate_common::{check_private, create_private_dir};

use super::error::RegistryError;
use crate::config::{Reference, Sha256Digest, parse_digest, show_digest};

/// The maximum of unused blobs: some versions of large components, and no more than fits into a pod's folder beside
/// compiled code (`deploy/` gives it half a gigabyte).
const KEPT_BYTES: u64 = 128 << 20;

/// How long a blob is kept in any case: another gateway may be about to use it.
const KEPT_FOR: Duration = Duration::from_secs(600);

/// The store.
#[derive(Debug, Clone)]
pub(super) struct Store {
    blobs: PathBuf,
    tags: PathBuf,
}

/// The recorded digest of a tag or another name.
#[derive(Serialize, Deserialize)]
struct Seen {
    reference: String,
    manifest: String,
}

impl Store {
    /// The store in a folder, which need not exist.
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            blobs: folder.join("blobs"),
            tags: folder.join("tags"),
        }
    }

    /// Creates missing folders.
    ///
    /// # Errors
    /// When one cannot be created or made private.
    pub(super) fn make(&self) -> Result<(), RegistryError> {
        let folders = [self.blobs.parent(), Some(&self.blobs), Some(&self.tags)];
        for folder in folders.into_iter().flatten() {
            create_private_dir(folder)?;
        }
        Ok(())
    }

    /// The path of a blob, if it exists.
    pub(super) fn path(&self, digest: &Sha256Digest) -> PathBuf {
        self.blobs.join(hex::encode(digest))
    }

    /// The name of that file, relative to the cache.
    pub(super) fn name_of(&self, digest: &Sha256Digest) -> String {
        name(&self.path(digest))
    }

    /// The same for a recorded name.
    pub(super) fn name_of_note(&self, noted: &str) -> String {
        name(&self.place(noted))
    }

    /// Returns whether a blob exists and is valid; a damaged one is removed.
    pub(super) fn has(&self, digest: &Sha256Digest) -> bool {
        let path = self.path(digest);
        let whole = check_private(&path)
            .map_err(io::Error::other)
            .and_then(|()| digest_of(&path));
        match whole {
            Ok(found) if found == *digest => {
                // So that pruning sees that it is used; a failure does no harm.
                let _ = File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
                true
            }
            Ok(_) => {
                tracing::warn!(file = %path.display(), "what was pulled is damaged and is pulled again");
                let _ = fs::remove_file(&path);
                false
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(file = %path.display(), %error, "what was pulled cannot be read and is pulled again");
                }
                false
            }
        }
    }

    /// A small blob, if it exists and is valid.
    pub(super) fn read(&self, digest: &Sha256Digest, limit: u64) -> Option<Vec<u8>> {
        if !self.has(digest) {
            return None;
        }
        let mut bytes = Vec::new();
        let file = File::open(self.path(digest)).ok()?;
        file.take(limit).read_to_end(&mut bytes).ok()?;
        (Sha256Digest::from(Sha256::digest(&bytes)) == *digest).then_some(bytes)
    }

    /// A temporary file for a download.
    pub(super) fn begin(&self) -> Result<NamedTempFile, RegistryError> {
        NamedTempFile::new_in(&self.blobs).map_err(|error| RegistryError::store(&self.blobs, &error))
    }

    /// Stores a blob whose digest was verified.
    pub(super) fn finish(&self, file: NamedTempFile, digest: &Sha256Digest) -> Result<(), RegistryError> {
        let path = self.path(digest);
        let kept = file.as_file().sync_all();
        let kept = kept.and_then(|()| file.persist(&path).map_err(|error| error.error));
        let kept = kept.and_then(|_| File::open(&self.blobs)?.sync_all());
        kept.map_err(|error| RegistryError::store(path, &error))
    }

    /// Stores a small blob whose digest was verified.
    pub(super) fn keep(&self, bytes: &[u8], digest: &Sha256Digest) -> Result<(), RegistryError> {
        let mut file = self.begin()?;
        file.write_all(bytes)
            .map_err(|error| RegistryError::store(file.path(), &error))?;
        self.finish(file, digest)
    }

    /// The last known digest of a tag.
    pub(super) fn seen(&self, reference: &Reference) -> Option<Sha256Digest> {
        self.noted(&reference.to_string())
    }

    /// The digest recorded under a name.
    pub(super) fn noted(&self, name: &str) -> Option<Sha256Digest> {
        let path = self.place(name);
        check_private(&path).ok()?;
        let seen: Seen = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        let is_it = seen.reference == name;
        is_it.then(|| parse_digest(&seen.manifest)).flatten()
    }

    /// Records the digest of a tag.
    pub(super) fn see(&self, reference: &Reference, manifest: &Sha256Digest) -> Result<(), RegistryError> {
        self.note(&reference.to_string(), manifest)
    }

    /// Records a digest under a name.
    pub(super) fn note(&self, name: &str, digest: &Sha256Digest) -> Result<(), RegistryError> {
        if self.noted(name) == Some(*digest) {
            return Ok(());
        }
        let path = self.place(name);
        let seen = Seen {
            reference: name.to_owned(),
            manifest: show_digest(digest),
        };
        let write = || {
            let mut file = NamedTempFile::new_in(&self.tags)?;
            serde_json::to_writer(&mut file, &seen)?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error)
        };
        write()
            .map(drop)
            .map_err(|error: io::Error| RegistryError::store(&path, &error))
    }

    /// Removes the least recently used blobs, while there are too many.
    pub(super) fn tidy(&self, used: &BTreeSet<Sha256Digest>) {
        let used: BTreeSet<_> = used.iter().map(hex::encode).collect();
        let entries = fs::read_dir(&self.blobs).into_iter().flatten().flatten();
        let mut unused: Vec<_> = entries
            .filter(|entry| !used.contains(&*entry.file_name().to_string_lossy()))
            .filter_map(|entry| {
                let metadata = entry.metadata().ok()?;
                let age = metadata.modified().ok()?.elapsed().unwrap_or_default();
                Some((age, metadata.len(), entry.path()))
            })
            .collect();
        unused.sort();
        let mut kept = 0;
        for (age, bytes, path) in unused {
            kept += bytes;
            if kept > KEPT_BYTES && age > KEPT_FOR {
                // Another gateway may have removed it already.
                let _ = fs::remove_file(path);
            }
        }
    }

    fn place(&self, name: &str) -> PathBuf {
        // Names may have any length and characters, so they are hashed.
        self.tags.join(hex::encode(Sha256::digest(name)))
    }
}

/// The last three components of a path: the store, a folder in it, and a file.
fn name(path: &Path) -> String {
    let parts: Vec<_> = path.iter().rev().take(3).collect();
    let parts: Vec<_> = parts
        .iter()
        .rev()
        .map(|part| part.to_string_lossy())
        .collect();
    parts.join("/")
}

/// The digest of a file.
fn digest_of(path: &Path) -> io::Result<Sha256Digest> {
    let mut hasher = Sha256::new();
    io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok(hasher.finalize().into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(&folder.path().join("registry"));
        store.make().unwrap();
        (folder, store)
    }

    fn digest(bytes: &[u8]) -> Sha256Digest {
        Sha256::digest(bytes).into()
    }

    #[test]
    fn a_blob_is_there_as_long_as_its_bytes_have_its_digest() {
        let (_folder, store) = store();
        let name = digest(b"bytes");
        assert!(!store.has(&name));
        store.keep(b"bytes", &name).unwrap();
        assert_eq!(store.read(&name, 100).unwrap(), b"bytes");
        fs::write(store.path(&name), b"other").unwrap();
        assert!(!store.has(&name));
        assert!(!store.path(&name).exists());
    }

    #[test]
    fn blobs_and_folders_are_their_owners_alone() {
        let (folder, store) = store();
        let name = digest(b"bytes");
        store.keep(b"bytes", &name).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder.path().join("registry/blobs")), 0o700);
        assert_eq!(mode(&store.path(&name)), 0o600);
    }

    #[test]
    fn a_tag_that_another_user_could_have_noted_was_not_seen() {
        let (_folder, store) = store();
        let reference = Reference::parse("oci://registry.example.com/name:1").unwrap();
        store.see(&reference, &digest(b"manifest")).unwrap();
        assert_eq!(store.seen(&reference), Some(digest(b"manifest")));
        assert_eq!(store.seen(&reference.tagged("2")), None);
        let path = store.place(&reference.to_string());
        fs::set_permissions(path, fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(store.seen(&reference), None);
    }

    #[test]
    fn tidying_up_removes_what_is_old_and_unused_and_nothing_else() {
        let (_folder, store) = store();
        let blobs: Vec<_> = (0..4_u8).map(|n| (digest(&[n]), n)).collect();
        for (at, (name, n)) in blobs.iter().enumerate() {
            store.keep(&[*n], name).unwrap();
            let file = File::options().write(true).open(store.path(name)).unwrap();
            // Files with holes: so large, and nothing on the disk.
            file.set_len(KEPT_BYTES / 2 + 1).unwrap();
            let age = Duration::from_secs(7200 * at as u64);
            file.set_modified(SystemTime::now() - age).unwrap();
        }
        let used = BTreeSet::from([blobs[3].0]);
        store.tidy(&used);
        let left: Vec<_> = blobs
            .iter()
            .map(|(name, _)| store.path(name).exists())
            .collect();
        assert_eq!(left, [true, false, false, true]);
    }
}
