//! Files and folders that other users of the machine can neither read nor replace.
//!
//! Their contents are trusted: compiled code runs in this process, and the database has the data of all packages. So a
//! folder or file that another user prepared, or may write, is refused. The group's permissions are accepted if it is
//! one of this process' groups: that is how Kubernetes' `fsGroup` gives a volume to a pod.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use rustix::process::{getegid, geteuid, getgroups};

use crate::{Code, Diagnostic};

const OWNER_ONLY_DIR: u32 = 0o700;
const OWNER_ONLY_FILE: u32 = 0o600;
const OTHERS: u32 = 0o007;
const OTHERS_WRITE: u32 = 0o002;
const GROUP_WRITE: u32 = 0o020;
const ROOT: u32 = 0;

/// A file or folder that is not used.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.diagnostic())]
pub enum NotPrivate {
    /// It is a symbolic link, which another user may have put there.
    Link(PathBuf),
    /// It belongs to another user than this process' or root.
    Owner {
        /// The file or folder.
        path: PathBuf,
        /// The user it belongs to.
        owner: u32,
    },
    /// Users beside its owner may write it.
    Writable {
        /// The file or folder.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The system refuses it.
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl NotPrivate {
    /// The same as a mistake of a user's, without a place.
    pub fn diagnostic(&self) -> Diagnostic {
        let (message, help) = self.words();
        Diagnostic::new(Code::NotPrivate, message, help)
    }

    fn words(&self) -> (String, &'static str) {
        match self {
            Self::Link(path) => {
                let message = format!("{} is a symbolic link", path.display());
                (message, "name what it points to")
            }
            Self::Owner { path, owner } => {
                let message = format!(
                    "{} belongs to user {owner}, who could change it",
                    path.display()
                );
                (message, "give it to this process' user or name another")
            }
            Self::Writable { path, mode } => {
                let message = format!(
                    "{} may be written by other users (mode {mode:03o})",
                    path.display()
                );
                (message, "run `chmod go-w` on it or name another")
            }
            Self::Io { path, source } => {
                let message = format!("{}: {source}", path.display());
                (message, "name one that this process may use")
            }
        }
    }
}

/// Makes the folder `path` for its owner alone, with the folders above it, or checks the one that is there. One of ours
/// that others may look into is closed to them.
///
/// # Errors
/// When it cannot be made, or another user could have prepared it or may change it.
pub fn create_private_dir(path: &Path) -> Result<(), NotPrivate> {
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(OWNER_ONLY_DIR)
        .create(path);
    made.map_err(|source| io_error(path, source))?;
    let found = fs::symlink_metadata(path).map_err(|source| io_error(path, source))?;
    check(path, &found)?;
    close_to_others(path, &found)
}

/// Checks a file that may be there; one of ours that others may read is closed to them.
///
/// # Errors
/// When it is there and another user could have prepared it or may change it.
pub fn check_private(path: &Path) -> Result<(), NotPrivate> {
    match fs::symlink_metadata(path) {
        Ok(found) => {
            check(path, &found)?;
            close_to_others(path, &found)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(io_error(path, source)),
    }
}

/// Opens the file `path` for reading and writing, as it is; makes it, empty and for its owner alone, if it is not
/// there.
///
/// # Errors
/// When it cannot be opened, or another user could have prepared it or may change it.
pub fn open_private(path: &Path) -> Result<File, NotPrivate> {
    check_private(path)?;
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(OWNER_ONLY_FILE)
        .open(path);
    let file = opened.map_err(|source| io_error(path, source))?;
    // What was opened, should it have been put there since it was looked at.
    let found = file.metadata().map_err(|source| io_error(path, source))?;
    check(path, &found)?;
    Ok(file)
}

fn check(path: &Path, found: &Metadata) -> Result<(), NotPrivate> {
    if found.is_symlink() {
        return Err(NotPrivate::Link(path.to_owned()));
    }
    let owner = found.uid();
    if owner != ROOT && owner != geteuid().as_raw() {
        return Err(NotPrivate::Owner {
            path: path.to_owned(),
            owner,
        });
    }
    let mode = found.mode();
    let by_group = mode & GROUP_WRITE != 0 && !is_our_group(found.gid());
    if mode & OTHERS_WRITE != 0 || by_group {
        return Err(NotPrivate::Writable {
            path: path.to_owned(),
            mode: mode & 0o777,
        });
    }
    Ok(())
}

fn is_our_group(group: u32) -> bool {
    let others = getgroups().unwrap_or_default();
    getegid().as_raw() == group || others.iter().any(|ours| ours.as_raw() == group)
}

fn close_to_others(path: &Path, found: &Metadata) -> Result<(), NotPrivate> {
    let mode = found.mode() & 0o7777;
    if found.uid() != geteuid().as_raw() || mode & OTHERS == 0 {
        return Ok(());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode & !OTHERS)).map_err(|source| io_error(path, source))
}

fn io_error(path: &Path, source: io::Error) -> NotPrivate {
    NotPrivate::Io {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_new_folder_and_a_new_file_are_for_their_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        create_private_dir(&path).unwrap();
        open_private(&path.join("file")).unwrap();
        assert_eq!((mode(&path), mode(&path.join("file"))), (0o700, 0o600));
    }

    #[test]
    fn what_others_may_read_is_closed_to_them() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "x").unwrap();
        chmod(folder.path(), 0o755);
        chmod(&file, 0o644);
        create_private_dir(folder.path()).unwrap();
        check_private(&file).unwrap();
        assert_eq!((mode(folder.path()), mode(&file)), (0o750, 0o640));
    }

    #[test]
    fn what_others_may_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "x").unwrap();
        chmod(&file, 0o646);
        assert!(matches!(
            open_private(&file),
            Err(NotPrivate::Writable { .. })
        ));
        chmod(folder.path(), 0o707);
        let refused = create_private_dir(folder.path());
        assert!(matches!(refused, Err(NotPrivate::Writable { .. })));
    }

    #[test]
    fn a_group_may_write_if_it_is_ours() {
        let folder = tempfile::tempdir().unwrap();
        chmod(folder.path(), 0o770);
        create_private_dir(folder.path()).unwrap();
    }

    #[test]
    fn a_link_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        create_private_dir(&target).unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(matches!(
            create_private_dir(&link),
            Err(NotPrivate::Link(_))
        ));
        assert!(matches!(open_private(&link), Err(NotPrivate::Link(_))));
    }

    #[test]
    fn what_belongs_to_another_user_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "x").unwrap();
        if std::os::unix::fs::chown(&file, Some(65_533), None).is_err() {
            println!("left out: only root can give a file to another user");
            return;
        }
        let refused = check_private(&file);
        assert!(matches!(
            refused,
            Err(NotPrivate::Owner { owner: 65_533, .. })
        ));
        assert!(open_private(&file).is_err());
    }
}
