//! `bindings.localstorage`: files below one folder.
//!
//! Every path is opened from the folder's own descriptor, and the kernel refuses to leave it (`openat2`,
//! `RESOLVE_BENEATH`): a symbolic link is followed as long as it stays below, and one that is put there between a check
//! and an opening leads nowhere else.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use axum::body::Bytes;
use base64::{Engine, engine::general_purpose::STANDARD};
use cap_std::{ambient_authority, fs::Dir};
use serde_json::{json, value::RawValue};

use super::{Operation, Output};
use wasmgate_common::{Code, Diagnostic};

use crate::{protocol::body::forms::Metadata, shares::Shares};

/// Files below one folder.
#[derive(Debug)]
pub(crate) struct LocalStorage {
    folder: Arc<Folder>,
    threads: Shares<String>,
}

#[derive(Debug)]
struct Folder {
    dir: Dir,
    /// Its path, links resolved: `list` names files by it.
    root: PathBuf,
}

/// The threads that may block on the disk for one app, and for all: a worker has 512 for blocking work, which name
/// lookups need too.
const THREADS: [usize; 2] = [4, 32];

/// Files and folders in the answer to `list` at most.
const MAX_LISTED: usize = 10_000;

impl LocalStorage {
    pub(super) fn new(root: PathBuf) -> Result<Self, Diagnostic> {
        let folder = Folder::open(&root).map_err(|error| {
            let message = format!("{}: {error}", root.display());
            Diagnostic::new(
                Code::FileUnreadable,
                message,
                "name a folder this process may write",
            )
        })?;
        Ok(Self {
            folder: Arc::new(folder),
            threads: Shares::new(THREADS[0], THREADS[1]),
        })
    }

    pub(super) async fn invoke(&self, app: &str, operation: Operation<'_>) -> Result<Output, String> {
        let Operation {
            name,
            data,
            metadata,
            ..
        } = operation;
        let (folder, name, data) = (Arc::clone(&self.folder), name.to_owned(), payload(data));
        let thread = self.threads.take(&app.to_owned()).await;
        let work = move || {
            let _until_it_is_done = thread;
            folder.run(&name, &data, &metadata)
        };
        tokio::task::spawn_blocking(work)
            .await
            .unwrap_or_else(|error| Err(error.to_string()))
    }
}

impl Folder {
    fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        let root = root.canonicalize()?;
        let dir = Dir::open_ambient_dir(&root, ambient_authority())?;
        Ok(Self { dir, root })
    }

    fn run(&self, operation: &str, data: &[u8], metadata: &Metadata) -> Result<Output, String> {
        let name = metadata.get("fileName");
        let named = || name.ok_or_else(|| "metadata fileName is missing".to_owned());
        let failed = |error: io::Error| error.to_string();
        match operation {
            "create" => {
                let generated = uuid::Uuid::new_v4().to_string();
                let path = relative(name.unwrap_or(&generated))?;
                self.write(&path, data).map_err(failed)?;
                let answer = json!({"fileName": path.display().to_string()});
                Ok(some(answer.to_string()))
            }
            "get" => Ok(some(self.dir.read(relative(named()?)?).map_err(failed)?)),
            "delete" => {
                self.dir.remove_file(relative(named()?)?).map_err(failed)?;
                Ok(Output::default())
            }
            "list" => {
                let path = relative(name.map_or("", String::as_str))?;
                let mut found = Vec::new();
                self.list(&path, &mut found).map_err(failed)?;
                found.sort();
                Ok(some(json!(found).to_string()))
            }
            other => Err(format!("local storage knows no operation {other:?}")),
        }
    }

    /// Writes beside and renames, so that nobody reads half a file.
    fn write(&self, path: &Path, data: &[u8]) -> io::Result<()> {
        if let Some(parent) = path.parent() {
            self.dir.create_dir_all(parent)?;
        }
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}.part", uuid::Uuid::new_v4().simple()));
        let beside = PathBuf::from(beside);
        let written = self
            .dir
            .create(&beside)
            .and_then(|mut file| io::Write::write_all(&mut file, data).and_then(|()| file.sync_all()))
            .and_then(|()| self.dir.rename(&beside, &self.dir, path));
        if written.is_err() {
            let _ = self.dir.remove_file(&beside);
        }
        written
    }

    fn list(&self, below: &Path, found: &mut Vec<String>) -> io::Result<()> {
        let entries = match below.as_os_str().is_empty() {
            true => self.dir.entries()?,
            false => self.dir.read_dir(below)?,
        };
        for entry in entries {
            if found.len() >= MAX_LISTED {
                break;
            }
            let entry = entry?;
            let path = below.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                self.list(&path, found)?;
            } else {
                found.push(self.root.join(path).display().to_string());
            }
        }
        Ok(())
    }
}

fn some(data: impl Into<Bytes>) -> Output {
    Output {
        data: Some(data.into()),
        ..Output::default()
    }
}

/// The bytes of a file, as Dapr's component takes them from `data`: the text of a JSON string, any other JSON as it
/// stands; and what is base64 is decoded, which is how a file that is no text is sent.
fn payload(data: Option<&RawValue>) -> Vec<u8> {
    let Some(data) = data.map(RawValue::get) else {
        return Vec::new();
    };
    let bytes = match serde_json::from_str::<String>(data) {
        Ok(text) => text.into_bytes(),
        Err(_) if data == "null" => Vec::new(),
        Err(_) => data.as_bytes().to_vec(),
    };
    STANDARD.decode(&bytes).unwrap_or(bytes)
}

/// A file's name as a path relative to the folder, without `.` and a `/` in front; one with `..` is refused.
fn relative(name: &str) -> Result<PathBuf, String> {
    let mut path = PathBuf::new();
    for part in Path::new(name.trim_start_matches('/')).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(format!("fileName {name:?} leaves the binding's folder"));
            }
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::fs::symlink,
        sync::atomic::{AtomicBool, Ordering},
        thread,
    };

    use super::*;

    /// A folder to serve, and one beside it with a secret.
    fn world() -> (tempfile::TempDir, Folder, PathBuf) {
        let place = tempfile::tempdir().unwrap();
        let outside = place.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("secret"), "hush").unwrap();
        let folder = Folder::open(&place.path().join("files")).unwrap();
        (place, folder, outside)
    }

    fn run(folder: &Folder, operation: &str, name: &str) -> Result<Option<Bytes>, String> {
        let metadata = Metadata::from_iter([("fileName".to_owned(), name.to_owned())]);
        folder
            .run(operation, b"data", &metadata)
            .map(|output| output.data)
    }

    #[test]
    fn links_are_followed_below_the_folder_and_nowhere_else() {
        let (_place, folder, outside) = world();
        run(&folder, "create", "inner/file").unwrap();
        symlink("inner", folder.root.join("near")).unwrap();
        assert_eq!(run(&folder, "get", "near/file").unwrap().unwrap(), "data");
        symlink(&outside, folder.root.join("absolute")).unwrap();
        symlink("../outside", folder.root.join("relative")).unwrap();
        for link in ["absolute", "relative"] {
            run(&folder, "get", &format!("{link}/secret")).unwrap_err();
            run(&folder, "create", &format!("{link}/new")).unwrap_err();
            run(&folder, "create", &format!("{link}/deep/new")).unwrap_err();
            run(&folder, "delete", &format!("{link}/secret")).unwrap_err();
            run(&folder, "list", link).unwrap_err();
        }
        let left = fs::read_dir(&outside).unwrap().count();
        assert_eq!(
            (left, fs::read(outside.join("secret")).unwrap()),
            (1, b"hush".to_vec())
        );
    }

    #[test]
    fn a_folder_that_becomes_a_link_while_files_are_written_leads_nowhere_else() {
        let (_place, folder, outside) = world();
        let (path, aside) = (folder.root.join("d"), folder.root.join("aside"));
        let over = AtomicBool::new(false);
        let mut is_told = false;
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    // Each step fails when `create` has just made the folder anew.
                    let _ = fs::rename(&path, &aside);
                    let _ = symlink(&outside, &path);
                    let _ = fs::remove_file(&path);
                    let _ = fs::remove_dir_all(&aside);
                }
            });
            for _ in 0..2_000 {
                // Whether it is there at the moment is not the question.
                let _ = run(&folder, "create", "d/new");
                is_told |= run(&folder, "get", "d/secret").is_ok();
            }
            over.store(true, Ordering::Relaxed);
        });
        assert!(!is_told);
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    }
}
