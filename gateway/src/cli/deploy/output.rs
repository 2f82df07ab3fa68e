//! Where the objects go: standard output, or a file each.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::super::{Exit, counted, print};

/// The first line of a file that may be written anew.
const MARK: &str = "# Rendered by `wasmgate deploy`: change the project and render it again.\n";

/// The files that there may be.
pub(super) const FILES: [&str; 13] = [
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
];

/// An object, and the file that it goes into.
pub(super) type Object = (&'static str, Value);

/// Writes them all: to standard output for `-`, or each into a file of a folder, from which those of an earlier
/// rendering are gone then.
pub(super) fn write(objects: &[Object], to: &Path) -> Result<(), Exit> {
    let texts = objects.iter().map(|(file, object)| {
        let text = serde_norway::to_string(object).map_err(|error| Exit::data(&error))?;
        Ok((*file, text))
    });
    let texts = texts.collect::<Result<Vec<_>, Exit>>()?;
    if to == Path::new("-") {
        let whole: String = texts
            .iter()
            .map(|(_, text)| format!("---\n{text}"))
            .collect();
        print(&whole);
        return Ok(());
    }
    let failed =
        |path: &Path, error: &std::io::Error| Exit::cannot_create(format!("error: {}: {error}", path.display()));
    fs::create_dir_all(to).map_err(|error| failed(to, &error))?;
    let earlier = earlier(to)?;
    for (file, text) in &texts {
        let path = to.join(file);
        fs::write(&path, format!("{MARK}{text}")).map_err(|error| failed(&path, &error))?;
    }
    for path in earlier
        .iter()
        .filter(|path| !texts.iter().any(|(file, _)| path.ends_with(file)))
    {
        fs::remove_file(path).map_err(|error| failed(path, &error))?;
    }
    print(&format!(
        "wrote {} to {}\n",
        counted(texts.len(), "file"),
        to.display()
    ));
    Ok(())
}

/// The files of an earlier rendering; any other one under such a name is left alone, and nothing is written.
fn earlier(folder: &Path) -> Result<Vec<PathBuf>, Exit> {
    let mut found = Vec::new();
    for path in FILES.map(|file| folder.join(file)) {
        let is_ours = match fs::read_to_string(&path) {
            Ok(text) => text.starts_with(MARK),
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(_) => false,
        };
        if !is_ours {
            let path = path.display();
            let message =
                format!("error: {path} is there already, and no rendering\n  help: name another folder by --output");
            return Err(Exit::cannot_create(message));
        }
        found.push(path);
    }
    Ok(found)
}
