//! Checks whether the open files are still those that the next start will read.
//!
//! A file that was deleted or replaced can still be written as if nothing had happened: the system keeps it for the
//! process that has it open. Data that is acknowledged then is lost with the process.

use std::{fs, os::unix::fs::MetadataExt as _, path::PathBuf};

use rusqlite::Connection;

/// The database and the log before it, by their names.
pub(super) struct Files([Named; 2]);

struct Named {
    path: PathBuf,
    /// The device and number of the file that SQLite has opened.
    opened: Option<(u64, u64)>,
}

impl Files {
    /// Those of a connection.
    pub(super) fn of(connection: &Connection) -> Self {
        let database = connection.path().filter(|path| !path.is_empty());
        let named = |ending: &str| Named {
            path: database
                .map(|path| PathBuf::from(format!("{path}{ending}")))
                .unwrap_or_default(),
            opened: None,
        };
        Self([named(""), named("-wal")])
    }

    /// The first that is not what was opened any more, to be asked within a transaction: then both are open.
    pub(super) fn lost(&mut self) -> Option<&PathBuf> {
        let lost = self.0.iter_mut().find_map(Named::lost);
        lost.map(|named| &named.path)
    }
}

impl Named {
    fn lost(&mut self) -> Option<&Self> {
        if self.path.as_os_str().is_empty() {
            return None;
        }
        let there = fs::metadata(&self.path).ok();
        let there = there.map(|found| (found.dev(), found.ino()));
        match self.opened {
            Some(opened) => (there != Some(opened)).then_some(self),
            None => {
                self.opened = there;
                None
            }
        }
    }
}
