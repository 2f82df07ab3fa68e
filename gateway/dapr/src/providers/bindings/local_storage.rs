//! `bindings.localstorage`: files below one folder.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

use axum::body::Bytes;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{json, value::RawValue};

use super::{Operation, Output};
use crate::protocol::body::forms::Metadata;

#[derive(Debug)]
pub(crate) struct LocalStorage {
    root: PathBuf,
}

/// Files and folders in the answer to `list` at most.
const MAX_LISTED: usize = 10_000;

impl LocalStorage {
    pub(super) fn new(root: PathBuf) -> Result<Self, String> {
        let shown = root.display().to_string();
        fs::create_dir_all(&root)
            .and_then(|()| root.canonicalize())
            .map(|root| Self { root })
            .map_err(|error| format!("{shown}: {error}; name a folder this process may write"))
    }

    pub(super) async fn invoke(&self, operation: Operation<'_>) -> Result<Output, String> {
        let Operation {
            name,
            data,
            metadata,
            ..
        } = operation;
        let (root, name, data) = (self.root.clone(), name.to_owned(), payload(data));
        let work = move || run(&root, &name, &data, &metadata);
        tokio::task::spawn_blocking(work)
            .await
            .unwrap_or_else(|error| Err(error.to_string()))
    }
}

fn run(root: &Path, operation: &str, data: &[u8], metadata: &Metadata) -> Result<Output, String> {
    let name = metadata.get("fileName");
    let named = || name.ok_or_else(|| "metadata fileName is missing".to_owned());
    let told = |error: io::Error| error.to_string();
    match operation {
        "create" => {
            let generated = uuid::Uuid::new_v4().to_string();
            let name = name.unwrap_or(&generated);
            let path = inside(root, name)?;
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).map_err(told)?;
            }
            write_whole(&path, data).map_err(told)?;
            let below = path.strip_prefix(root).unwrap_or(&path);
            let answer = json!({"fileName": below.display().to_string()});
            Ok(some(answer.to_string()))
        }
        "get" => Ok(some(fs::read(inside(root, named()?)?).map_err(told)?)),
        "delete" => {
            fs::remove_file(inside(root, named()?)?).map_err(told)?;
            Ok(Output::default())
        }
        "list" => {
            let mut found = Vec::new();
            list(&inside(root, name.map_or("", String::as_str))?, &mut found).map_err(told)?;
            found.sort();
            Ok(some(json!(found).to_string()))
        }
        other => Err(format!("local storage knows no operation {other:?}")),
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

/// A path below `root`, symbolic links resolved: nothing outside it can be named.
fn inside(root: &Path, name: &str) -> Result<PathBuf, String> {
    let outside = || format!("fileName {name:?} leaves the binding's folder");
    let name = name.trim_start_matches('/');
    let mut path = root.to_owned();
    for part in Path::new(name).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(outside());
            }
        }
        if path.is_symlink() {
            return Err(outside());
        }
    }
    Ok(path)
}

/// Writes beside and renames, so that nobody reads half a file.
fn write_whole(path: &Path, data: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.part", uuid::Uuid::new_v4().simple()));
    let beside = PathBuf::from(beside);
    let written = fs::File::create(&beside)
        .and_then(|mut file| io::Write::write_all(&mut file, data).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

fn list(folder: &Path, found: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        if found.len() >= MAX_LISTED {
            break;
        }
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            list(&entry.path(), found)?;
        } else {
            found.push(entry.path().display().to_string());
        }
    }
    Ok(())
}
