//! Paths of the gateway's own files, which must not be in a folder for guests.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use crate::{Code, Diagnostic};

/// Folders in which the kernel shows processes and devices: this process' environment and memory among them.
const OF_THE_KERNEL: [&str; 3] = ["/proc", "/sys", "/dev"];

/// A folder of ordinary files among them.
const MEMORY: &str = "/dev/shm";

/// Files and folders that a process keeps and reads for itself.
#[derive(Clone, Debug, Default)]
pub struct OwnPlaces(Vec<Own>);

#[derive(Clone, Debug)]
struct Own {
    what: &'static str,
    path: PathBuf,
    is_closed: bool,
}

impl OwnPlaces {
    /// Adds a file or a folder that lies in no folder for guests, and says what it is. In a folder that is not `closed`
    /// there may be others for guests.
    pub fn add(&mut self, what: &'static str, path: &Path, is_closed: bool) {
        let path = whole(path);
        self.0.push(Own {
            what,
            path,
            is_closed,
        });
    }

    /// Refuses a folder for guests that has any of it inside, lies in one that is closed, or is the kernel's.
    ///
    /// # Errors
    /// With what is there.
    pub fn check(&self, folder: &Path) -> Result<(), Diagnostic> {
        let (shown, there) = (folder.display(), whole(folder));
        let is_within = |own: &&Own| own.path.starts_with(&there) || (own.is_closed && there.starts_with(&own.path));
        let wrong = if let Some(Own { what, .. }) = self.0.iter().find(is_within) {
            format!("{shown} is no folder for guests: {what} is there")
        } else if OF_THE_KERNEL.iter().any(|of| there.starts_with(of)) && !there.starts_with(MEMORY) {
            format!("{shown} shows this machine's processes and devices, and this one's environment")
        } else {
            return Ok(());
        };
        Err(Diagnostic::new(
            Code::Conflict,
            wrong,
            "name a folder that has nothing in it but what is for guests",
        ))
    }
}

/// A path without links and detours, as far as it is there.
fn whole(path: &Path) -> PathBuf {
    // The path of a file in the folder of now has an empty folder.
    let path = Path::new(".").join(path);
    let path = std::path::absolute(&path).unwrap_or(path);
    let (mut there, mut rest) = (path.as_path(), Vec::<OsString>::new());
    loop {
        if let Ok(real) = there.canonicalize() {
            let mut path = real;
            for part in rest.iter().rev() {
                // What is not there would be made as a folder, and `..` in it leads back.
                if part == ".." {
                    path.pop();
                } else {
                    path.push(part);
                }
            }
            // A link may be behind a detour.
            let has_detour = rest.iter().any(|part| part == "..");
            return if has_detour { whole(&path) } else { path };
        }
        match (there.parent(), there.components().next_back()) {
            (Some(parent), Some(last)) => {
                rest.push(last.as_os_str().to_owned());
                there = parent;
            }
            _ => return path,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn a_path_is_whole_although_its_end_is_not_there() {
        let place = tempfile::tempdir().unwrap();
        let real = place.path().canonicalize().unwrap();
        fs::create_dir(real.join("there")).unwrap();
        symlink(real.join("there"), real.join("link")).unwrap();
        assert_eq!(whole(&real.join("link/a/b")), real.join("there/a/b"));
        assert_eq!(whole(&real.join("link")), real.join("there"));
        assert_eq!(whole(Path::new("/")), Path::new("/"));
        assert_eq!(
            whole(Path::new("")),
            std::env::current_dir().unwrap().canonicalize().unwrap()
        );
    }

    #[test]
    fn a_folder_for_guests_has_nothing_of_the_gateways_in_it_however_it_is_written() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path();
        for name in ["data/uploads", "cache", "assets", "secret"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        symlink(folder.join("data"), folder.join("link")).unwrap();
        let mut own = OwnPlaces::default();
        own.add("the configuration", &folder.join("wasmgate.toml"), false);
        own.add("the data", &folder.join("data"), false);
        own.add("compiled code", &folder.join("cache"), true);
        own.add("a key", &folder.join("secret/tls.key"), false);
        for right in [
            "assets",
            "new",
            "data/uploads",
            "assets/../new",
            "cached",
            "gone/../assets",
            "cache/../assets",
        ] {
            assert!(own.check(&folder.join(right)).is_ok(), "{right}");
        }
        for wrong in [
            "",
            "data",
            "link",
            "assets/../data",
            "cache",
            "cache/registry",
            "secret",
            "..",
            "/",
            "/proc",
            "/proc/self/fd",
            "/dev",
            "link/../cache",
            "gone/../cache",
            "gone/../cache/new",
            "gone/deep/../../link",
        ] {
            assert!(own.check(&folder.join(wrong)).is_err(), "{wrong}");
        }
    }
}
