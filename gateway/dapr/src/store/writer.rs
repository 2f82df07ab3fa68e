//! The writer thread: waiting writes are committed together.

use std::{io, sync::Arc, thread};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{
    Fault, StoreError, WriteError,
    named::Files,
    turns::{Owner, Refused, Turns},
};

/// Writes that share one transaction at most: bounds how long the first of them waits for the
/// last, while one sync is already spread thin over so many.
const MAX_BATCH: usize = 256;

/// Rows after which a transaction takes no more writes: some ten milliseconds of work, which is how long another's
/// write waits for the ones before it.
const MAX_ROWS: usize = 2_000;

/// Tells a waiting caller what became of its write, once the commit is decided.
type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
/// Does the work, if given a connection.
type Work = Box<dyn FnOnce(Option<&Connection>) -> Done + Send>;

/// A write that waits, and about how many rows it touches.
struct Waiting {
    work: Work,
    rows: usize,
}

/// A write that was tried, or was not for want of a transaction.
struct Done {
    outcome: Outcome,
    answer: Answer,
}

enum Outcome {
    /// To be committed.
    Keep,
    /// To be rolled back by itself; where the database failed, with its kind of failure.
    Discard(Option<Fault>),
}

/// The failure for which a transaction is lost.
#[derive(Clone)]
struct Lost {
    fault: Fault,
    reason: Arc<str>,
}

impl From<rusqlite::Error> for Lost {
    fn from(error: rusqlite::Error) -> Self {
        let error = StoreError::from(error);
        Self {
            fault: error.fault(),
            reason: error.to_string().into(),
        }
    }
}

impl From<Lost> for StoreError {
    fn from(lost: Lost) -> Self {
        Self::NotCommitted {
            fault: lost.fault,
            reason: lost.reason,
        }
    }
}

/// The way to the writing thread. Dropping it writes what waits, closes the database and only then
/// returns, so that the folder is free for the next to open it.
pub(super) struct Writer {
    queue: Arc<Turns<Waiting>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.close();
        if self
            .thread
            .take()
            .is_some_and(|thread| thread.join().is_err())
        {
            tracing::error!("the database's writer had died");
        }
    }
}

impl Writer {
    pub(super) fn start(connection: Connection) -> io::Result<Self> {
        let queue = Arc::new(Turns::<Waiting>::new());
        let waiting = Arc::clone(&queue);
        let thread = thread::Builder::new()
            .name("dapr-writer".into())
            .spawn(move || {
                let mut files = Files::of(&connection);
                while let Some(first) = waiting.next() {
                    commit_together(&connection, &mut files, batch(first, &waiting));
                }
            })?;
        Ok(Self {
            queue,
            thread: Some(thread),
        })
    }

    /// Writes that wait.
    pub(super) fn waiting(&self) -> usize {
        self.queue.waiting()
    }

    /// Does `work` when it is `owner`'s turn; it touches about so many rows. A caller that is gone by then has nothing
    /// done for it.
    pub(super) async fn write<T, E, F>(&self, owner: Owner, rows: usize, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: WriteError,
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        let (caller, answered) = oneshot::channel();
        let work: Work = Box::new(move |connection| {
            let wanted = connection.filter(|_| !caller.is_closed());
            let worked = wanted.map(work);
            let outcome = match &worked {
                Some(Ok(_)) => Outcome::Keep,
                Some(Err(error)) => Outcome::Discard(error.as_store().map(StoreError::fault)),
                None => Outcome::Discard(None),
            };
            let answer: Answer = Box::new(move |commit| {
                let told = match (worked, commit) {
                    (Some(Ok(value)), Ok(())) => Ok(value),
                    // The work's own failure says more than the commit's.
                    (Some(Err(error)), _) => Err(error),
                    (_, Err(error)) => Err(E::from(error)),
                    (None, Ok(())) => Err(E::from(StoreError::Closed)),
                };
                // A caller that has gone away no longer wants to know.
                let _ = caller.send(told);
            });
            Done { outcome, answer }
        });
        let pushed = self.queue.push(owner, Waiting { work, rows });
        pushed.map_err(|refused| match refused {
            Refused::Crowded => StoreError::Crowded,
            Refused::Closed => StoreError::Closed,
        })?;
        answered
            .await
            .unwrap_or_else(|_| Err(E::from(StoreError::Closed)))
    }
}

/// The writes of one transaction: `first`, and those whose turn it is next, until they are enough.
fn batch(first: Waiting, waiting: &Turns<Waiting>) -> impl Iterator<Item = Work> {
    let (mut next, mut writes, mut rows) = (Some(first), 0, 0);
    std::iter::from_fn(move || {
        if writes >= MAX_BATCH || rows >= MAX_ROWS {
            return None;
        }
        let taken = next.take().or_else(|| waiting.try_next())?;
        writes += 1;
        rows += taken.rows;
        Some(taken.work)
    })
}

fn commit_together(connection: &Connection, files: &mut Files, batch: impl Iterator<Item = Work>) {
    let begun = connection.execute_batch("BEGIN IMMEDIATE");
    let mut answers = Vec::new();
    let mut outcome = begun.map_err(Lost::from);
    for work in batch {
        match outcome {
            Ok(()) => outcome = run_one(connection, work, &mut answers),
            // The transaction is lost: the rest is told so without having been tried.
            Err(_) => answers.push(work(None).answer),
        }
    }
    if let Some(path) = files.lost().filter(|_| outcome.is_ok()) {
        outcome = Err(Lost {
            fault: Fault::Gone,
            reason: format!("{} was taken away or replaced", path.display()).into(),
        });
    }
    if outcome.is_ok() {
        outcome = connection.execute_batch("COMMIT").map_err(Lost::from);
    }
    if let Err(Lost { fault, reason }) = &outcome {
        tracing::error!(fault = fault.name(), %reason, writes = answers.len(), "the database did not take a transaction");
        if !connection.is_autocommit() {
            let _ = connection.execute_batch("ROLLBACK");
        }
    }
    for answer in answers {
        answer(outcome.clone().map_err(StoreError::from));
    }
}

/// Runs one write within a savepoint of its own. An error means the whole transaction is lost, as
/// when the disk is full and SQLite has rolled back by itself.
fn run_one(connection: &Connection, work: Work, answers: &mut Vec<Answer>) -> Result<(), Lost> {
    connection.prepare_cached("SAVEPOINT work")?.execute([])?;
    let done = work(Some(connection));
    answers.push(done.answer);
    if connection.is_autocommit() {
        // It did so because of the failure that the write itself has seen.
        let fault = match done.outcome {
            Outcome::Discard(Some(fault)) => fault,
            Outcome::Discard(None) | Outcome::Keep => Fault::Other,
        };
        return Err(Lost {
            fault,
            reason: "SQLite rolled the transaction back".into(),
        });
    }
    if matches!(done.outcome, Outcome::Discard(_)) {
        connection.prepare_cached("ROLLBACK TO work")?.execute([])?;
    }
    connection.prepare_cached("RELEASE work")?.execute([])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(max_pages: i64) -> (tempfile::TempDir, Writer) {
        let folder = tempfile::tempdir().unwrap();
        let connection = Connection::open(folder.path().join("test.db")).unwrap();
        connection.execute_batch("CREATE TABLE t (x)").unwrap();
        connection
            .pragma_update(None, "max_page_count", max_pages)
            .unwrap();
        (folder, Writer::start(connection).unwrap())
    }

    async fn insert(writer: &Writer, bytes: i64) -> Result<(), StoreError> {
        writer
            .write(None, 1, move |conn| {
                conn.execute("INSERT INTO t VALUES (zeroblob(?1))", [bytes])?;
                Ok(())
            })
            .await
    }

    async fn count(writer: &Writer) -> i64 {
        let count =
            |conn: &Connection| Ok::<_, StoreError>(conn.query_row("SELECT count(*) FROM t", [], |row| row.get(0))?);
        writer.write(None, 1, count).await.unwrap()
    }

    #[tokio::test]
    async fn on_a_full_disk_what_was_acknowledged_is_there_and_the_rest_is_told() {
        let (_folder, writer) = writer(20);
        let sizes = [100, 1_000_000, 100, 1_000_000, 100];
        let written = sizes.map(|size| insert(&writer, size));
        let written = futures_util::future::join_all(written).await;
        // SQLite gives up the whole transaction, so small writes may fail with the large one.
        let acknowledged = written.iter().filter(|written| written.is_ok()).count();
        for error in written.iter().filter_map(|written| written.as_ref().err()) {
            assert_eq!(error.fault(), Fault::Full, "{error}");
        }
        assert!(acknowledged <= 3);
        assert_eq!(count(&writer).await, i64::try_from(acknowledged).unwrap());
        insert(&writer, 100).await.unwrap();
    }

    #[tokio::test]
    async fn a_failed_write_leaves_nothing_and_does_not_disturb_those_beside_it() {
        let (_folder, writer) = writer(1_000);
        let failing = writer.write(None, 1, |conn| {
            conn.execute("INSERT INTO t VALUES (1)", [])?;
            Err::<(), _>(StoreError::Closed)
        });
        let both = futures_util::future::join(failing, insert(&writer, 1)).await;
        assert!(matches!(both, (Err(StoreError::Closed), Ok(()))));
        assert_eq!(count(&writer).await, 1);
    }

    /// Holds the writer until the sender is dropped or used.
    fn hold(writer: &Arc<Writer>) -> std::sync::mpsc::Sender<()> {
        let (release, held) = std::sync::mpsc::channel::<()>();
        let (begun, waits) = std::sync::mpsc::channel();
        let writer = Arc::clone(writer);
        tokio::spawn(async move {
            let work = move |_: &Connection| {
                begun.send(()).unwrap();
                let _ = held.recv();
                Ok::<_, StoreError>(())
            };
            writer.write(None, 1, work).await.unwrap();
        });
        tokio::task::block_in_place(|| waits.recv().unwrap());
        release
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_write_waits_for_few_of_another_app_however_many_it_has() {
        let (_folder, writer) = writer(1_000);
        let writer = Arc::new(writer);
        let order = Arc::new(parking_lot::Mutex::new(Vec::new()));
        let release = hold(&writer);
        let write = |name: &'static str| {
            let (writer, order) = (Arc::clone(&writer), Arc::clone(&order));
            let work = move |_: &Connection| {
                order.lock().push(name);
                Ok::<_, StoreError>(())
            };
            let owner = crate::app::AppId::new(name).unwrap();
            Box::pin(async move { writer.write(Some(owner), MAX_ROWS, work).await })
        };
        let mut written: Vec<_> = (0..50).map(|_| write("flood")).collect();
        let mut calm = write("calm");
        // Polled once, each waits in the queue.
        for write in written.iter_mut().chain([&mut calm]) {
            assert!(futures_util::poll!(write).is_pending());
        }
        drop(release);
        calm.await.unwrap();
        // Each of the flood's fills a transaction: two at most were made before the other's.
        let before = order
            .lock()
            .iter()
            .position(|name| *name == "calm")
            .unwrap();
        assert!(before <= 2, "{before}");
        for flood in written {
            flood.await.unwrap();
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn nothing_is_done_for_a_caller_that_has_gone_away() {
        let (_folder, writer) = writer(1_000);
        let writer = Arc::new(writer);
        let release = hold(&writer);
        {
            let mut gone = Box::pin(insert(&writer, 1));
            assert!(futures_util::poll!(&mut gone).is_pending());
        }
        drop(release);
        assert_eq!(count(&writer).await, 0);
    }
}
