//! A package's `files`: folders of this machine that its guests may read.

use std::path::{Path, PathBuf};

use wasmgate_common::{Code, Diagnostic};

use super::{own::Own, reader::Section};

/// A folder, and where a guest sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The guest's path: absolute, without `.`, `..` and a slash at its end.
    pub guest: String,
    /// The folder, resolved against that of the configuration.
    pub folder: PathBuf,
}

/// Reads a package's folders. One that is made by the package's build may be missing.
pub(super) fn read(package: &Section<'_>, own: &Own<'_>) -> Vec<Mount> {
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
        let there = own.folder.join(value.value);
        let checked = check(&there, package.has("build")).and_then(|()| own.check(&there));
        if let Err(wrong) = checked {
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

fn check(folder: &Path, is_built: bool) -> Result<(), Diagnostic> {
    if folder.is_dir() || (is_built && !folder.exists()) {
        return Ok(());
    }
    Err(Diagnostic::new(
        Code::FileMissing,
        format!("there is no folder {}", folder.display()),
        "make it, or correct the path (it is relative to the configuration file)",
    ))
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
    fn a_folder_may_be_missing_only_if_it_is_built() {
        let project = tempfile::tempdir().unwrap();
        assert!(check(project.path(), false).is_ok());
        let missing = project.path().join("dist");
        assert!(check(&missing, true).is_ok());
        assert!(check(&missing, false).is_err());
    }
}
