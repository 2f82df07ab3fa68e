//! A package's `files`: folders of this machine that its guests may read.

use std::path::{Path, PathBuf};

use wasmgate_common::{Code, Diagnostic};

use super::reader::Section;

/// A folder, and where a guest sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The guest's path: absolute, without `.`, `..` and a slash at its end.
    pub guest: String,
    /// The folder, resolved against that of the configuration.
    pub folder: PathBuf,
}

/// Reads a package's folders. One that is made by the package's build may be missing.
pub(super) fn read(package: &Section<'_>, folder: &Path) -> Vec<Mount> {
    let mut mounts: Vec<Mount> = Vec::new();
    for (name, value) in package.named("files") {
        let Some(value) = value.text("assets") else {
            continue;
        };
        let Some(guest) = name.parsed(guest_path) else {
            continue;
        };
        if mounts.iter().any(|mount| mount.guest == guest) {
            name.refuse(Diagnostic::new(
                Code::Conflict,
                format!("{guest} is there twice"),
                "keep one of the two",
            ));
            continue;
        }
        let there = folder.join(value.value);
        if let Err(wrong) = check(&there, folder, package.has("build")) {
            value.refuse(wrong);
            continue;
        }
        mounts.push(Mount {
            guest,
            folder: there,
        });
    }
    mounts
}

fn guest_path(text: &str) -> Result<String, Diagnostic> {
    let path = text.trim_end_matches('/');
    let is_part = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(char::is_control);
    let is_path = text.starts_with('/') && path.split('/').skip(1).all(is_part);
    if !is_path {
        return Err(Diagnostic::new(
            Code::InvalidValue,
            format!("{text:?} is no place in a guest"),
            "write the guest's path from its root: \"/\" or \"/assets\"",
        ));
    }
    Ok(if path.is_empty() { "/" } else { path }.to_owned())
}

fn check(folder: &Path, of_configuration: &Path, is_built: bool) -> Result<(), Diagnostic> {
    let shown = folder.display();
    if !folder.is_dir() {
        if is_built && !folder.exists() {
            return Ok(());
        }
        return Err(Diagnostic::new(
            Code::FileMissing,
            format!("there is no folder {shown}"),
            "make it, or correct the path (it is relative to the configuration file)",
        ));
    }
    let whole = |path: &Path| {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        path.canonicalize().unwrap_or_else(|_| path.to_owned())
    };
    if whole(of_configuration).starts_with(whole(folder)) {
        return Err(Diagnostic::new(
            Code::Conflict,
            format!("{shown} has the configuration in it, and what is kept beside it"),
            "name a folder that has nothing in it but what the guest may read",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_a_guest_is_a_whole_path_without_detours() {
        for (text, path) in [
            ("/", "/"),
            ("/a", "/a"),
            ("/a/", "/a"),
            ("/a/b.c", "/a/b.c"),
        ] {
            assert_eq!(guest_path(text).unwrap(), path);
        }
        for wrong in ["", ".", "a", "/..", "/a/../b", "/a//b", "/a\0"] {
            assert!(guest_path(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_folder_of_the_configuration_is_no_folder_for_guests() {
        let project = tempfile::tempdir().unwrap();
        let assets = project.path().join("assets");
        std::fs::create_dir(&assets).unwrap();
        assert!(check(&assets, project.path(), false).is_ok());
        for folder in [project.path(), &assets.join(".."), Path::new("/")] {
            assert!(check(folder, project.path(), false).is_err());
        }
        let missing = project.path().join("dist");
        assert!(check(&missing, project.path(), true).is_ok());
        assert!(check(&missing, project.path(), false).is_err());
    }
}
