//! The one thread that writes: what waits is committed together.

use std::{io, sync::Arc, sync::mpsc, thread};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::StoreError;

/// Writes that share one transaction at most: bounds how long the first of them waits for the
/// last, while one sync is already spread thin over so many.
const MAX_BATCH: usize = 256;

/// Tells a waiting caller what became of its write, once the commit is decided.
type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
/// Does the work, if given a connection; says whether it is to be kept.
type Work = Box<dyn FnOnce(Option<&Connection>) -> (bool, Answer) + Send>;

/// The way to the writing thread, which ends when this is dropped.
pub(super) struct Writer {
    queue: mpsc::Sender<Work>,
}

impl Writer {
    pub(super) fn start(connection: Connection) -> io::Result<Self> {
        let (queue, waiting) = mpsc::channel::<Work>();
        thread::Builder::new()
            .name("dapr-writer".into())
            .spawn(move || {
                while let Ok(first) = waiting.recv() {
                    let batch = std::iter::once(first)
                        .chain(waiting.try_iter())
                        .take(MAX_BATCH);
                    commit_together(&connection, batch);
                }
            })?;
        Ok(Self { queue })
    }

    pub(super) async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let work: Work = Box::new(move |connection| {
            let outcome = connection.map(work);
            let keep = matches!(outcome, Some(Ok(_)));
            let tell: Answer = Box::new(move |commit| {
                let told = match (outcome, commit) {
                    (Some(Ok(value)), Ok(())) => Ok(value),
                    // The work's own failure says more than the commit's.
                    (Some(Err(error)), _) => Err(error),
                    (_, Err(error)) => Err(E::from(error)),
                    (None, Ok(())) => Err(E::from(StoreError::Closed)),
                };
                // A caller that has gone away no longer wants to know.
                let _ = answer.send(told);
            });
            (keep, tell)
        });
        self.queue
            .send(work)
            .map_err(|_| E::from(StoreError::Closed))?;
        answered
            .await
            .unwrap_or_else(|_| Err(E::from(StoreError::Closed)))
    }
}

fn commit_together(connection: &Connection, batch: impl Iterator<Item = Work>) {
    let begun = connection.execute_batch("BEGIN IMMEDIATE");
    let mut answers = Vec::new();
    let mut outcome = begun;
    for work in batch {
        match outcome {
            Ok(()) => outcome = run_one(connection, work, &mut answers),
            // The transaction is lost: the rest is told so without having been tried.
            Err(_) => answers.push(work(None).1),
        }
    }
    if outcome.is_ok() {
        outcome = connection.execute_batch("COMMIT");
    }
    let failed: Option<Arc<str>> = outcome.err().map(|error| error.to_string().into());
    if let Some(reason) = &failed {
        tracing::error!(%reason, writes = answers.len(), "the database did not take a transaction");
        if !connection.is_autocommit() {
            let _ = connection.execute_batch("ROLLBACK");
        }
    }
    for answer in answers {
        answer(
            failed
                .clone()
                .map_or(Ok(()), |reason| Err(StoreError::NotCommitted(reason))),
        );
    }
}

/// Runs one write within a savepoint of its own. An error means the whole transaction is lost, as
/// when the disk is full and SQLite has rolled back by itself.
fn run_one(
    connection: &Connection,
    work: Work,
    answers: &mut Vec<Answer>,
) -> Result<(), rusqlite::Error> {
    connection.prepare_cached("SAVEPOINT work")?.execute([])?;
    let (keep, answer) = work(Some(connection));
    answers.push(answer);
    if connection.is_autocommit() {
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL),
            Some("SQLite rolled the transaction back: disk full or unreadable".into()),
        ));
    }
    if !keep {
        connection.prepare_cached("ROLLBACK TO work")?.execute([])?;
    }
    connection.prepare_cached("RELEASE work")?.execute([])?;
    Ok(())
}
