//! Writes the objects to standard output, or to one file each.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{
    super::{Exit, counted, print},
    comments::explained,
    holes::Holes,
};

/// What a file says that may be written anew.
pub(super) const MARK: &str = "Rendered by `wasmgate deploy`: change the project and render it again.";

/// The files that there may be of objects.
pub(super) const FILES: [&str; 16] = [
    "serviceaccount.yaml",
    "configmap.yaml",
    "components.yaml",
    "storage.yaml",
    "statefulset.yaml",
    "deployment.yaml",
    "service.yaml",
    "networkpolicy.yaml",
    "disruption.yaml",
    "autoscaler.yaml",
    "ingress.yaml",
    "httproute.yaml",
    "configuration.yaml",
    "metrics.yaml",
    "servicemonitor.yaml",
    "rules.yaml",
];

/// An object, and the file that it goes into.
pub(super) type Object = (&'static str, Value);

/// Writes them all: to standard output for `-`, or each into a file of a folder.
pub(super) fn write(objects: &[Object], to: &Path) -> Result<(), Exit> {
    let texts = objects.iter().map(|(file, object)| {
        Ok((
            (*file).to_owned(),
            explained(file, &Holes::default().yaml(object)?),
        ))
    });
    let texts = texts.collect::<Result<Vec<_>, Exit>>()?;
    if to == Path::new("-") {
        let whole: String = texts
            .iter()
            .map(|(_, text)| format!("---\n{text}"))
            .collect();
        print(&whole)?;
        return Ok(());
    }
    let files = texts.into_iter();
    let files = files.map(|(file, text)| (file, format!("# {MARK}\n{text}")));
    write_files(&files.collect::<Vec<_>>(), FILES.map(str::to_owned), to)
}

/// Writes files, which say that they may be written anew, into a folder, from which those of an earlier rendering are
/// gone then.
pub(super) fn write_files(
    files: &[(String, String)],
    known: impl IntoIterator<Item = String>,
    to: &Path,
) -> Result<(), Exit> {
    let failed =
        |path: &Path, error: &std::io::Error| Exit::cannot_create(format!("error: {}: {error}", path.display()));
    if to.exists() && !to.is_dir() {
        let message = format!("error: {} is no folder\n  help: name another", to.display());
        return Err(Exit::cannot_create(message));
    }
    let earlier = earlier(to, known)?;
    for (file, text) in files {
        let path = to.join(file);
        let folder = path.parent().unwrap_or(to);
        fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
        fs::write(&path, text).map_err(|error| failed(&path, &error))?;
    }
    for path in earlier
        .iter()
        .filter(|path| !files.iter().any(|(file, _)| to.join(file) == **path))
    {
        fs::remove_file(path).map_err(|error| failed(path, &error))?;
    }
    print(&format!(
        "wrote {} to {}\n",
        counted(files.len(), "file"),
        to.display()
    ))?;
    Ok(())
}

/// The files of an earlier rendering; any other one under such a name is left alone, and nothing is written.
fn earlier(folder: &Path, known: impl IntoIterator<Item = String>) -> Result<Vec<PathBuf>, Exit> {
    let mut found = Vec::new();
    for path in known.into_iter().map(|file| folder.join(file)) {
        let is_ours = match fs::read_to_string(&path) {
            Ok(text) => text.contains(MARK),
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(_) => false,
        };
        if !is_ours {
            let path = path.display();
            let message = format!("error: {path} is there already, and no rendering\n  help: name another folder");
            return Err(Exit::cannot_create(message));
        }
        found.push(path);
    }
    Ok(found)
}
