//! Backs up the database while it is in use, and restores a backup while it is not.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OpenFlags, config::DbConfig};
use wasmgate_common::{NotPrivate, create_private_dir, open_private};

use super::{
    BUSY_TIMEOUT, DataError, Store, StoreError,
    schema::{check_layout, check_own},
};

/// The database in its folder, and the files that SQLite has beside it.
const DATABASE: &str = "dapr.db";
const BESIDE: [&str; 2] = ["-wal", "-shm"];

/// How every database of SQLite begins (its file format, 1.3).
const BEGIN: &[u8] = b"SQLite format 3\0";

/// Writes what is committed now into the new file `to`, which is one whole database; whoever has the data goes on
/// reading and writing meanwhile.
///
/// # Errors
/// When there are no data, `to` is there already, or either file cannot be used.
pub fn backup(data: &Path, to: &Path) -> Result<(), DataError> {
    let path = data.join(DATABASE);
    let failed = |source| DataError::Database {
        path: path.clone(),
        source,
    };
    if !path.is_file() {
        let path = data.to_owned();
        return Err(DataError::Nothing { path });
    }
    if to.symlink_metadata().is_ok() {
        return Err(copy_error(to)(io::ErrorKind::AlreadyExists.into()));
    }
    // SQLite writes into a file that is empty, and this one is closed to others.
    let copy = open_private(to).map_err(|error| match error {
        NotPrivate::Io { source, .. } => copy_error(to)(source),
        shared => shared.into(),
    })?;
    let written = snapshot(&path, to).and_then(|()| copy.sync_all().map_err(|error| failed_io(&error)));
    written.map_err(|error| {
        let _ = fs::remove_file(to);
        failed(error)
    })
}

fn snapshot(path: &Path, to: &Path) -> Result<(), StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // The log is whose data these are.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    check_layout(&connection)?;
    connection.execute("VACUUM INTO ?1", [to.to_string_lossy()])?;
    Ok(())
}

/// Puts a copy in the place of the database, and answers with where the one before is now, if there was one.
///
/// # Errors
/// When a process holds the data, `from` is no whole database of this program, or a file cannot be used. Nothing is
/// changed then.
pub fn restore(data: &Path, from: &Path) -> Result<Option<PathBuf>, DataError> {
    create_private_dir(data)?;
    let _guard = Store::guard(data)?;
    let path = data.join(DATABASE);
    let staged = data.join("dapr.db.restoring");
    let staging = stage(from, &staged).and_then(|()| {
        check_whole(&staged).map_err(|source| DataError::Database {
            path: from.to_owned(),
            source,
        })
    });
    let put = staging.and_then(|()| put(data, &path, &staged).map_err(folder_error(data)));
    for name in BESIDE {
        let _ = fs::remove_file(beside(&staged, name));
    }
    put.inspect_err(|_| {
        let _ = fs::remove_file(&staged);
    })
}

/// Copies `from` to a file of this folder, whole and on disk.
fn stage(from: &Path, staged: &Path) -> Result<(), DataError> {
    let mut copy = open_private(staged)?;
    let copied = File::open(from).and_then(|mut from| {
        copy.set_len(0)?;
        // What is no database may have no end.
        let mut begin = Vec::new();
        (&mut from)
            .take(BEGIN.len() as u64)
            .read_to_end(&mut begin)?;
        if begin != BEGIN {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "it is no database",
            ));
        }
        copy.write_all(&begin)?;
        io::copy(&mut from, &mut copy)?;
        copy.sync_all()
    });
    copied.map_err(copy_error(from))
}

/// Refuses what is no database of this program, of a newer version, changed, or damaged.
fn check_whole(path: &Path) -> Result<(), StoreError> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    check_own(&connection)?;
    let found: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    match found.as_str() {
        "ok" => Ok(()),
        _ => Err(StoreError::Damaged(found)),
    }
}

/// Puts the staged file in the place of the database. The one before and its log are in a folder of their own before
/// anything is changed, so that an end in the middle loses neither.
fn put(data: &Path, path: &Path, staged: &Path) -> io::Result<Option<PathBuf>> {
    if !path.exists() {
        fs::rename(staged, path)?;
        File::open(data)?.sync_all()?;
        return Ok(None);
    }
    let kept = unused(data)?;
    for name in BESIDE {
        let log = beside(path, name);
        if log.exists() {
            fs::hard_link(&log, kept.join(format!("{DATABASE}{name}")))?;
        }
    }
    fs::hard_link(path, kept.join(DATABASE))?;
    // A log would be taken for the new file's.
    for name in BESIDE {
        let log = beside(path, name);
        if log.exists() {
            fs::remove_file(log)?;
        }
    }
    fs::rename(staged, path)?;
    File::open(data)?.sync_all()?;
    Ok(Some(kept))
}

/// Makes a folder that is not there yet.
fn unused(data: &Path) -> io::Result<PathBuf> {
    for number in 1.. {
        let folder = data.join(format!("before-restore-{number}"));
        match fs::DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map(|()| folder),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn beside(path: &Path, name: &str) -> PathBuf {
    let mut file = path.as_os_str().to_owned();
    file.push(name);
    file.into()
}

fn copy_error(path: &Path) -> impl Fn(io::Error) -> DataError {
    let path = path.to_owned();
    move |source| DataError::Copy {
        path: path.clone(),
        source,
    }
}

fn folder_error(path: &Path) -> impl Fn(io::Error) -> DataError {
    let path = path.to_owned();
    move |source| DataError::Folder {
        path: path.clone(),
        source,
    }
}

fn failed_io(error: &io::Error) -> StoreError {
    StoreError::NotCommitted {
        fault: super::Fault::Io,
        reason: error.to_string().into(),
    }
}
