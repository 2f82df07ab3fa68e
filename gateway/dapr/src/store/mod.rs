//! The database: one SQLite file for every building block, so that a transaction may span them
//! (state and its outbox, an event and its dead letter).
//!
//! Writes go through one thread that gathers what waits into one transaction; a write is answered
//! after the commit, which is synced to disk (`synchronous=FULL`): what was acknowledged survives
//! `kill -9` and the loss of power alike, and many writers share one sync. Reads use pooled
//! connections in the caller's thread: a point read costs microseconds, less than a hop.

mod backup;
mod failure;
mod named;
mod open;
mod schema;
mod turns;
pub(crate) mod usage;
mod writer;

use std::{collections::BTreeMap, fs, io, os::unix::fs::FileExt, path::Path, sync::Arc, time::Duration};

use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags, TransactionBehavior, config::DbConfig};
use tokio_util::sync::CancellationToken;
use wasmgate_common::{check_private, create_private_dir, open_private};

pub use backup::{backup, restore};
pub use failure::{Fault, StoreError};
pub(crate) use failure::{WriteError, store_error};
pub use open::DataError;
use schema::check_layout;
use turns::Owner;
use writer::Writer;

use crate::{app::AppId, quotas::QuotaExceeded};

/// The time that a connection waits for a lock that another program holds. Ours never hold one long.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Idle read connections kept; each holds a page cache of up to 2 MB. More than the workers of a
/// large machine would read at once are opened and closed again.
const MAX_IDLE_READERS: usize = 64;

/// Steps of SQLite's machine between two looks whether a long read is still wanted: well below a millisecond.
const STEPS: i32 = 10_000;

/// Statements kept prepared on each connection: more than there are in this crate.
const STATEMENT_CACHE: usize = 64;

/// Rows that one write of an app touches at most where it may be done in several: other apps' writes take their turn
/// between them.
pub(crate) const SLICE: usize = 1_000;

/// The layout of the tables; a database of another number is refused rather than misread.
const SCHEMA_VERSION: i64 = 3;

/// The open database.
pub(crate) struct Store {
    writer: Writer,
    idle_readers: Mutex<Vec<Connection>>,
    path: std::path::PathBuf,
    /// Writes that a quota refused: whose, which one, and how many.
    refused: Mutex<BTreeMap<(AppId, &'static str), u64>>,
    /// Held as long as the store: one process at a time.
    _guard: fs::File,
}

impl Store {
    /// Opens or creates the database in folder `data`.
    pub(crate) fn open(data: &Path) -> Result<Self, DataError> {
        let data_error = |source| DataError::Folder {
            path: data.to_owned(),
            source,
        };
        create_private_dir(data)?;
        let guard = Self::guard(data)?;
        let path = data.join("dapr.db");
        // SQLite gives the files beside it the permissions that this one has.
        let file = open_private(&path)?;
        for beside in ["dapr.db-wal", "dapr.db-shm"] {
            check_private(&data.join(beside))?;
        }
        let database_error = |source| DataError::Database {
            path: path.clone(),
            source,
        };
        let log = fs::metadata(data.join("dapr.db-wal")).map_or(0, |log| log.len());
        if let Some(length) = cut_off(&file).map_err(data_error)?
            && log == 0
        {
            let damage = format!("it is cut off after {length} bytes");
            return Err(database_error(StoreError::Damaged(damage)));
        }
        let connection = open_for_writing(&path).map_err(database_error)?;
        let writer = Writer::start(connection).map_err(data_error)?;
        Ok(Self {
            writer,
            idle_readers: Mutex::default(),
            path,
            refused: Mutex::default(),
            _guard: guard,
        })
    }

    /// Takes the folder `data` for this process alone, for as long as the file is open.
    fn guard(data: &Path) -> Result<fs::File, DataError> {
        let path = data.to_owned();
        let guard = open_private(&data.join("dapr.lock"))?;
        match guard.try_lock() {
            Ok(()) => Ok(guard),
            Err(fs::TryLockError::WouldBlock) => Err(DataError::InUse { path }),
            Err(fs::TryLockError::Error(source)) => Err(DataError::Folder { path, source }),
        }
    }

    /// Runs `work` of the runtime itself within a transaction and answers once that is on disk. If `work` fails,
    /// nothing of it is kept and the writes beside it are not disturbed.
    pub(crate) async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: WriteError,
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        self.writer.write(None, 1, work).await
    }

    /// The same for work of `app`, which touches about so many rows and takes its turn among those of other apps.
    pub(crate) async fn write_for<T, E, F>(&self, app: &AppId, rows: usize, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: WriteError,
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        let owner: Owner = Some(app.clone());
        let written = self.writer.write(owner, rows.max(1), work).await;
        if let Err(error) = &written
            && let Some(StoreError::Quota(exceeded)) = error.as_store()
        {
            self.note_refused(exceeded);
        }
        written
    }

    /// Counts a write that was refused, and tells the operator of the first, the second, the fourth, the eighth…
    fn note_refused(&self, exceeded: &QuotaExceeded) {
        let mut refused = self.refused.lock();
        let count = refused
            .entry((exceeded.app.clone(), exceeded.key))
            .or_default();
        *count += 1;
        if count.is_power_of_two() {
            let (app_id, quota, limit) = (&exceeded.app, exceeded.key, exceeded.limit);
            tracing::warn!(%app_id, quota, limit, refused = *count, "a quota is used up");
        }
    }

    /// The writes that each quota of each app has refused.
    pub(crate) fn refused(&self) -> BTreeMap<(AppId, &'static str), u64> {
        self.refused.lock().clone()
    }

    /// Writes that wait for the writer.
    pub(crate) fn waiting_writes(&self) -> usize {
        self.writer.waiting()
    }

    /// Runs a point read here and now.
    pub(crate) fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.read_mut(|conn| work(conn))
    }

    fn read_mut<T>(&self, work: impl FnOnce(&mut Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let idle = self.idle_readers.lock().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => open_for_reading(&self.path)?,
        };
        let answer = work(&mut connection);
        let mut idle = self.idle_readers.lock();
        if idle.len() < MAX_IDLE_READERS {
            idle.push(connection);
        }
        answer
    }

    /// Runs a read that may take long on a thread where it holds up nobody, and ends it when its caller goes away.
    pub(crate) async fn scan<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = self.clone();
        let gone = CancellationToken::new();
        let caller = gone.clone().drop_guard();
        let task = tokio::task::spawn_blocking(move || store.read_while(work, move || !gone.is_cancelled()));
        let answer = task.await.unwrap_or(Err(StoreError::Closed));
        drop(caller);
        answer
    }

    /// Runs a read that is broken off once `wanted` says no.
    fn read_while<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
        wanted: impl Fn() -> bool + Send + 'static,
    ) -> Result<T, StoreError> {
        if !wanted() {
            return Err(StoreError::Closed);
        }
        self.read_mut(|conn| {
            conn.progress_handler(STEPS, Some(move || !wanted()))?;
            let answer = work(conn);
            conn.progress_handler(0, None::<fn() -> bool>)?;
            answer
        })
    }
}

/// The next number of the sequence `name`: never given twice, not even after a restart.
pub(crate) fn next(conn: &Connection, name: &str) -> Result<i64, StoreError> {
    let mut statement = conn.prepare_cached("UPDATE sequence SET value = value + 1 WHERE name = ?1 RETURNING value")?;
    Ok(statement.query_row([name], |row| row.get(0))?)
}

/// The length of a file that ends within a page, which SQLite takes for a whole one, or for an empty file if it is the
/// first. It is none where a log has that page.
fn cut_off(file: &fs::File) -> io::Result<Option<u64>> {
    let length = file.metadata()?.len();
    let mut header = [0; 18];
    if length == 0 || file.read_exact_at(&mut header, 0).is_err() {
        return Ok(Some(length).filter(|length| *length > 0));
    }
    // The size of its pages is in the last two bytes; 65,536 is written as 1.
    let [.., high, low] = header;
    let page = match u16::from_be_bytes([high, low]) {
        0 | 1 => 65_536,
        page => u64::from(page),
    };
    Ok(Some(length).filter(|length| !length.is_multiple_of(page)))
}

fn open_for_writing(path: &Path) -> Result<Connection, StoreError> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Until it is known to be ours, nothing is written to the file, not even what waits in its log.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    check_layout(&connection)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    schema::bring_up_to_date(&transaction)?;
    transaction.commit()?;
    Ok(connection)
}

fn open_for_reading(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_long_read_ends_when_its_caller_goes_away() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(folder.path()).unwrap());
        let (begun, begins) = mpsc::channel();
        let (ended, ends) = mpsc::channel();
        let mut scan = Box::pin(store.scan(move |conn| {
            begun.send(()).unwrap();
            // It counts for hours.
            let count = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1000000000000)
                SELECT count(*) FROM n";
            let counted = conn.query_row(count, [], |row| row.get::<_, i64>(0));
            ended.send(counted.is_err()).unwrap();
            Ok(counted?)
        }));
        assert!(futures_util::poll!(&mut scan).is_pending());
        tokio::task::block_in_place(|| begins.recv().unwrap());
        drop(scan);
        assert!(tokio::task::block_in_place(|| ends.recv().unwrap()));
        // The connection is as good as new for the next one.
        let one = store.scan(|conn| Ok(conn.query_row("SELECT 1", [], |row| row.get::<_, i64>(0))?));
        assert_eq!(one.await.unwrap(), 1);
    }
}
