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

/// Bytes of blobs that are kept at the most, beside those in use: some versions of large components, and no more than a
/// pod's folder has room for beside compiled code (`deploy/` gives it half a gigabyte).
const KEPT_BYTES: u64 = 128 << 20;

/// The time for which a blob is kept in any case: another gateway may be about to use it.
const KEPT_FOR: Duration = Duration::from_secs(600);

/// The folder of what was pulled.
#[derive(Debug, Clone)]
pub(super) struct Store {
    blobs: PathBuf,
    tags: PathBuf,
}

/// A tag as it was last seen, or what else a digest is known of.
#[derive(Serialize, Deserialize)]
struct Seen {
    reference: String,
    manifest: String,
}

impl Store {
    /// The store in a folder, which need not be there.
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            blobs: folder.join("blobs"),
            tags: folder.join("tags"),
        }
    }

    /// Makes the folders that are not there.
    ///
    /// # Errors
    /// When one cannot be made or closed to others.
    pub(super) fn make(&self) -> Result<(), RegistryError> {
        let folders = [self.blobs.parent(), Some(&self.blobs), Some(&self.tags)];
        for folder in folders.into_iter().flatten() {
            create_private_dir(folder)?;
        }
        Ok(())
    }

    /// Where a blob is, if it is there.
    pub(super) fn path(&self, digest: &Sha256Digest) -> PathBuf {
        self.blobs.join(hex::encode(digest))
    }

    /// The name of that file, with the folders that it is in.
    pub(super) fn name_of(&self, digest: &Sha256Digest) -> String {
        name(&self.path(digest))
    }

    /// The same of what is noted under a name.
    pub(super) fn name_of_note(&self, noted: &str) -> String {
        name(&self.place(noted))
    }

    /// Returns whether a blob is there and whole; one that is damaged is taken away.
    pub(super) fn has(&self, digest: &Sha256Digest) -> bool {
        let path = self.path(digest);
        let whole = check_private(&path)
            .map_err(io::Error::other)
            .and_then(|()| digest_of(&path));
        match whole {
            Ok(found) if found == *digest => {
                // So that whoever tidies up sees that it is used; it is no harm if that fails.
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

    /// A small blob, if it is there and whole.
    pub(super) fn read(&self, digest: &Sha256Digest, limit: u64) -> Option<Vec<u8>> {
        if !self.has(digest) {
            return None;
        }
        let mut bytes = Vec::new();
        let file = File::open(self.path(digest)).ok()?;
        file.take(limit).read_to_end(&mut bytes).ok()?;
        (Sha256Digest::from(Sha256::digest(&bytes)) == *digest).then_some(bytes)
    }

    /// A file for a blob that is on its way.
    pub(super) fn begin(&self) -> Result<NamedTempFile, RegistryError> {
        NamedTempFile::new_in(&self.blobs).map_err(|error| RegistryError::store(&self.blobs, &error))
    }

    /// Keeps a blob whose digest was checked.
    pub(super) fn finish(&self, file: NamedTempFile, digest: &Sha256Digest) -> Result<(), RegistryError> {
        let path = self.path(digest);
        let kept = file.as_file().sync_all();
        let kept = kept.and_then(|()| file.persist(&path).map_err(|error| error.error));
        let kept = kept.and_then(|_| File::open(&self.blobs)?.sync_all());
        kept.map_err(|error| RegistryError::store(path, &error))
    }

    /// Keeps a small blob whose digest was checked.
    pub(super) fn keep(&self, bytes: &[u8], digest: &Sha256Digest) -> Result<(), RegistryError> {
        let mut file = self.begin()?;
        file.write_all(bytes)
            .map_err(|error| RegistryError::store(file.path(), &error))?;
        self.finish(file, digest)
    }

    /// The digest that a tag had when it was last seen.
    pub(super) fn seen(&self, reference: &Reference) -> Option<Sha256Digest> {
        self.noted(&reference.to_string())
    }

    /// The digest that was noted under a name.
    pub(super) fn noted(&self, name: &str) -> Option<Sha256Digest> {
        let path = self.place(name);
        check_private(&path).ok()?;
        let seen: Seen = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        let is_it = seen.reference == name;
        is_it.then(|| parse_digest(&seen.manifest)).flatten()
    }

    /// Notes the digest that a tag has.
    pub(super) fn see(&self, reference: &Reference, manifest: &Sha256Digest) -> Result<(), RegistryError> {
        self.note(&reference.to_string(), manifest)
    }

    /// Notes a digest under a name.
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

    /// Removes the blobs that were not used for the longest time, as long as there are too many.
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
                // Another gateway may have been faster.
                let _ = fs::remove_file(path);
            }
        }
    }

    fn place(&self, name: &str) -> PathBuf {
        // A name of any length, with any sign in it, as a file's.
        self.tags.join(hex::encode(Sha256::digest(name)))
    }
}

/// The last three parts of a path: the folder of all that was pulled, a folder in it, and a file.
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
