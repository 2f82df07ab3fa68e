//! The containers of a package's blobs: folders in which each object is a file, and how much they hold.
//!
//! An object is written to a temporary file and renamed when it is complete, so that nobody reads half an object and
//! readers of the old one are not disturbed. An object's name is not a path: unsafe characters are percent-encoded.

use std::{
    collections::BTreeMap,
    fs, io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use cap_std::{ambient_authority, fs::Dir};
use parking_lot::Mutex;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::config;

/// The prefix of a temporary file's name; no object's file name starts with it.
const PART: &str = ".part-";

/// The age at which a temporary file is removed as left over by another process.
const LEFT_OVER: Duration = Duration::from_hours(24);

/// The characters that are not percent-encoded in file names.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// The maximum length of a file name: what most file systems allow, less the prefix of temporary files.
const MAX_NAME: usize = 240;

/// The overhead that is counted for each object, empty ones too: about the size of a disk block; the number of files is
/// limited as well.
const OBJECT_BYTES: u64 = 4 << 10;

/// A package's open containers, by name.
#[derive(Default)]
pub(crate) struct Blobs(Mutex<BTreeMap<String, Arc<Container>>>);

/// An open container.
pub(crate) struct Container {
    name: String,
    dir: Dir,
    limit: u64,
    used: AtomicU64,
    /// Held while objects are added or removed.
    changing: Mutex<()>,
}

/// An object that is being written. Its bytes count until it becomes an object or is dropped.
pub(crate) struct Part {
    home: Arc<Container>,
    name: String,
    file: cap_std::fs::File,
    bytes: u64,
}

impl Blobs {
    /// The container of this name, opened on first use. Blocks on the disk.
    ///
    /// # Errors
    /// When its folder cannot be made or read.
    pub(crate) fn container(&self, name: &str, granted: &config::Container) -> io::Result<Arc<Container>> {
        if let Some(open) = self.0.lock().get(name) {
            return Ok(Arc::clone(open));
        }
        let opened = Arc::new(Container::open(name, granted)?);
        // If two threads opened it at once, one instance wins, so that all share its count.
        let mut all = self.0.lock();
        Ok(Arc::clone(all.entry(name.to_owned()).or_insert(opened)))
    }
}

impl Container {
    fn open(name: &str, granted: &config::Container) -> io::Result<Self> {
        fs::create_dir_all(&granted.folder)?;
        let dir = Dir::open_ambient_dir(&granted.folder, ambient_authority())?;
        let mut used = 0_u64;
        for entry in dir.entries()? {
            let entry = entry?;
            let found = entry.metadata()?;
            let name = entry.file_name();
            let is_part = name.to_str().is_some_and(|name| name.starts_with(PART));
            let age = found
                .modified()
                .ok()
                .and_then(|at| SystemTime::now().duration_since(at.into_std()).ok());
            if is_part && age.is_some_and(|age| age > LEFT_OVER) {
                dir.remove_file(&name)?;
            } else if found.is_file() {
                used = used.saturating_add(cost(found.len()));
            }
        }
        Ok(Self {
            name: name.to_owned(),
            dir,
            limit: granted.size,
            used: AtomicU64::new(used),
            changing: Mutex::new(()),
        })
    }

    /// Its name, as guests know it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The time at which it was made, if the file system knows, and otherwise at which it was changed.
    pub(crate) fn made(&self) -> io::Result<SystemTime> {
        let found = self.dir.dir_metadata()?;
        let made = found.created().or_else(|_| found.modified())?;
        Ok(made.into_std())
    }

    /// Begins an object, if the container is not full.
    pub(crate) fn part(self: &Arc<Self>) -> io::Result<Part> {
        let name = format!("{PART}{}", uuid::Uuid::new_v4().simple());
        self.reserve(OBJECT_BYTES)?;
        let file = self.dir.create(&name);
        Ok(Part {
            file: file.inspect_err(|_| self.give_back(OBJECT_BYTES))?,
            home: Arc::clone(self),
            name,
            bytes: OBJECT_BYTES,
        })
    }

    /// Opens an object to read.
    pub(crate) fn read(&self, object: &str) -> io::Result<fs::File> {
        let file = self.dir.open(file_name(object)?)?;
        Ok(file.into_std())
    }

    /// Size and time of an object.
    pub(crate) fn info(&self, object: &str) -> io::Result<(u64, SystemTime)> {
        let found = self.dir.metadata(file_name(object)?)?;
        Ok((found.len(), found.modified()?.into_std()))
    }

    /// Returns whether there is an object of this name.
    pub(crate) fn has(&self, object: &str) -> io::Result<bool> {
        self.dir.try_exists(file_name(object)?)
    }

    /// Removes an object, if it is there.
    pub(crate) fn remove(&self, object: &str) -> io::Result<()> {
        let name = file_name(object)?;
        let _changing = self.changing.lock();
        match self.dir.metadata(&name) {
            Ok(found) => {
                self.dir.remove_file(&name)?;
                self.give_back(cost(found.len()));
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The names of up to `most` objects, in order.
    pub(crate) fn objects(&self, most: usize) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in self.dir.entries()? {
            let name = entry?.file_name();
            names.extend(name.to_str().and_then(object_name));
            if names.len() > most {
                return Err(io::Error::other(format!(
                    "there are more than {most} objects"
                )));
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn reserve(&self, bytes: u64) -> io::Result<()> {
        let used = self.used.fetch_add(bytes, Ordering::Relaxed);
        if used.saturating_add(bytes) <= self.limit {
            return Ok(());
        }
        self.give_back(bytes);
        let Self { name, limit, .. } = self;
        Err(io::Error::new(
            io::ErrorKind::StorageFull,
            format!("the container {name:?} is full: it may hold {limit} bytes, with {OBJECT_BYTES} for each object"),
        ))
    }

    fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Part {
    /// Appends, if the container is not full.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let length = bytes.len() as u64;
        self.home.reserve(length)?;
        self.bytes += length;
        io::Write::write_all(&mut self.file, bytes)
    }

    /// Makes it an object, replacing one of the same name, and syncs it to disk.
    pub(crate) fn finish(mut self, to: &Container, object: &str) -> io::Result<()> {
        let name = file_name(object)?;
        self.file.sync_all()?;
        let is_home = std::ptr::eq(&raw const *self.home, to);
        if !is_home {
            to.reserve(self.bytes)?;
        }
        let _changing = to.changing.lock();
        let before = to.dir.metadata(&name).map_or(0, |found| cost(found.len()));
        let renamed = self.home.dir.rename(&self.name, &to.dir, &name);
        match renamed {
            Ok(()) => {
                to.give_back(before);
                if is_home {
                    // It is still counted, as an object.
                    self.bytes = 0;
                }
                Ok(())
            }
            Err(error) => {
                if !is_home {
                    to.give_back(self.bytes);
                }
                Err(error)
            }
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Fails if it was renamed.
        let _ = self.home.dir.remove_file(&self.name);
        self.home.give_back(self.bytes);
    }
}

/// The counted size of an object of this length.
fn cost(length: u64) -> u64 {
    length.saturating_add(OBJECT_BYTES)
}

/// The file name of an object.
fn file_name(object: &str) -> io::Result<String> {
    let mut name = utf8_percent_encode(object, ENCODED).to_string();
    if name.starts_with('.') {
        name.replace_range(..1, "%2E");
    }
    if name.is_empty() || name.len() > MAX_NAME {
        let wrong = format!("an object's name has 1 to {MAX_NAME} bytes, those that are percent-encoded three each");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, wrong));
    }
    Ok(name)
}

/// The name of the object in a file, if it is one.
fn object_name(file: &str) -> Option<String> {
    let object = percent_decode_str(file).decode_utf8().ok()?;
    let is_its_own = file_name(&object).is_ok_and(|name| name == file);
    is_its_own.then(|| object.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(folder: &tempfile::TempDir, size: u64) -> Arc<Container> {
        let folder = folder.path().join("blobs");
        let granted = config::Container { folder, size };
        Arc::new(Container::open("images", &granted).unwrap())
    }

    fn write(container: &Arc<Container>, object: &str, bytes: &[u8]) -> io::Result<()> {
        let mut part = container.part()?;
        part.write(bytes)?;
        part.finish(container, object)
    }

    #[test]
    fn no_name_of_an_object_is_a_path_and_each_comes_back() {
        for object in [
            "a.png",
            "../../etc/passwd",
            "/etc/passwd",
            ".",
            "..",
            ".part-1",
            "a/b",
            "ü %2F",
            "\0",
        ] {
            let file = file_name(object).unwrap();
            assert!(!file.contains('/') && !file.starts_with('.'), "{file}");
            assert_eq!(object_name(&file).as_deref(), Some(object));
        }
        assert!(file_name("").is_err() && file_name(&"ü".repeat(100)).is_err());
        for other in [".part-1", "a b", "%2e", "%41"] {
            assert_eq!(object_name(other), None, "{other}");
        }
    }

    #[test]
    fn what_is_kept_and_what_is_being_written_counts_and_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let size = 2 * OBJECT_BYTES + 10;
        let blobs = container(&folder, size);
        write(&blobs, "a", b"12345").unwrap();
        write(&blobs, "a", b"12345").unwrap();
        let mut part = blobs.part().unwrap();
        part.write(b"12345").unwrap();
        assert!(part.write(b"1").is_err());
        assert!(blobs.part().is_err());
        drop(part);
        write(&blobs, "b", b"1").unwrap();
        let used = |blobs: &Container| blobs.used.load(Ordering::Relaxed);
        assert_eq!(used(&blobs), 2 * OBJECT_BYTES + 6);
        assert_eq!(used(&container(&folder, size)), 2 * OBJECT_BYTES + 6);
        assert_eq!(blobs.objects(10).unwrap(), ["a", "b"]);
        blobs.remove("a").unwrap();
        blobs.remove("a").unwrap();
        assert_eq!(used(&blobs), OBJECT_BYTES + 1);
    }

    #[test]
    fn empty_objects_count_too_and_are_no_way_to_all_files_of_a_disk() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = container(&folder, 10 * OBJECT_BYTES);
        let written = (0..100).take_while(|number| write(&blobs, &number.to_string(), b"").is_ok());
        assert_eq!(written.count(), 10);
        // What is there may be written anew, when there is room for what comes in its place.
        blobs.remove("0").unwrap();
        write(&blobs, "1", b"").unwrap();
        assert_eq!(
            container(&folder, 0).used.load(Ordering::Relaxed),
            9 * OBJECT_BYTES
        );
    }
}
