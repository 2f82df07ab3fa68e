//! Errors of opening the data folder and its database.

use std::{io, path::PathBuf};

use wasmgate_common::{Code, Diagnostic, NotPrivate};

use super::StoreError;

/// A failure to use the data folder.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.diagnostic())]
#[non_exhaustive]
pub enum DataError {
    /// It cannot be made or written.
    Folder {
        /// The folder of the settings.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// There is no database to copy in it.
    Nothing {
        /// The folder of the settings.
        path: PathBuf,
    },
    /// Other users could read or change its files.
    NotPrivate(NotPrivate),
    /// Another process holds it.
    InUse {
        /// The folder of the settings.
        path: PathBuf,
    },
    /// The database cannot be opened: damaged, not ours, locked by another program, or on a disk that is full or
    /// broken. It is left as it is.
    Database {
        /// The database file.
        path: PathBuf,
        /// SQLite's reason.
        source: StoreError,
    },
    /// A copy of it cannot be read or written.
    Copy {
        /// The file of the copy.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl DataError {
    /// The same as a mistake of the configuration, without a place.
    pub fn diagnostic(&self) -> Diagnostic {
        match self {
            Self::Folder { path, source } => {
                let message = format!("data folder {}: {source}", path.display());
                Diagnostic::new(
                    Code::DataUnusable,
                    message,
                    "name a folder this process may write",
                )
            }
            Self::Nothing { path } => {
                let message = format!("data folder {}: nothing is kept there", path.display());
                Diagnostic::new(
                    Code::FileMissing,
                    message,
                    "name the configuration of a gateway that has served the building blocks",
                )
            }
            Self::NotPrivate(error) => error.diagnostic(),
            Self::InUse { path } => {
                let message = format!(
                    "data folder {} is in use by another process",
                    path.display()
                );
                Diagnostic::new(Code::DataInUse, message, "stop it or name another folder")
            }
            Self::Database { path, source } => {
                let message = format!("database {}: {source}", path.display());
                Diagnostic::new(Code::DataUnusable, message, source.remedy())
            }
            Self::Copy { path, source } => {
                let message = format!("copy {}: {source}", path.display());
                let help = match source.kind() {
                    io::ErrorKind::AlreadyExists => "name a file that is not there yet",
                    io::ErrorKind::InvalidData => "name a file that `wasmgate backup` wrote",
                    _ => "correct its path, and let this user read and write there",
                };
                Diagnostic::new(Code::DataUnusable, message, help)
            }
        }
    }
}

impl From<NotPrivate> for DataError {
    fn from(error: NotPrivate) -> Self {
        match error {
            NotPrivate::Io { path, source } => Self::Folder { path, source },
            shared => Self::NotPrivate(shared),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Fault;

    #[test]
    fn a_full_disk_is_no_reason_to_start_empty() {
        let told = |fault| {
            let reason = "no".into();
            let source = StoreError::NotCommitted { fault, reason };
            let path = PathBuf::from("dapr.db");
            DataError::Database { path, source }.to_string()
        };
        assert!(told(Fault::Full).ends_with("make room on its disk, where nothing is lost"));
        assert!(told(Fault::Corrupt).contains("restore a backup"));
    }
}
