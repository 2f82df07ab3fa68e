//! Scheduled jobs.

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::store::{StoreError, next};

/// A job as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct JobRow {
    pub(crate) app_id: String,
    pub(crate) name: String,
    /// The job's JSON.
    pub(crate) spec: String,
    /// Milliseconds since 1970.
    pub(crate) due_at: i64,
    /// Times it has fired.
    pub(crate) fired: u32,
    /// Failed deliveries of the firing that is under way.
    pub(crate) attempts: u32,
    /// Changes when the job is scheduled anew, so that the end of an old firing does not touch
    /// its successor.
    pub(crate) generation: i64,
    pub(crate) expires_at: Option<i64>,
}

const COLUMNS: &str = "app_id, name, spec, due_at, fired, attempts, generation, expires_at";

/// Schedules the job; false if the name is taken and `overwrite` is not set.
pub(crate) fn put(conn: &Connection, job: &JobRow, overwrite: bool) -> Result<bool, StoreError> {
    // Not OR REPLACE, which deletes a row without its triggers.
    let otherwise = if overwrite {
        "UPDATE SET spec = excluded.spec, due_at = excluded.due_at, fired = 0, attempts = 0,
           generation = excluded.generation, expires_at = excluded.expires_at"
    } else {
        "NOTHING"
    };
    let generation = next(conn, "job")?;
    let changed = conn
        .prepare_cached(&format!(
            "INSERT INTO job ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, 0, 0, ?5, ?6) ON CONFLICT DO {otherwise}"
        ))?
        .execute(params![
            job.app_id,
            job.name,
            job.spec,
            job.due_at,
            generation,
            job.expires_at
        ])?;
    Ok(changed > 0)
}

pub(crate) fn get(conn: &Connection, app: &str, name: &str) -> Result<Option<JobRow>, StoreError> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM job WHERE app_id = ?1 AND name = ?2"
    ))?;
    Ok(statement.query_row([app, name], job).optional()?)
}

pub(crate) fn delete(conn: &Connection, app: &str, name: &str) -> Result<bool, StoreError> {
    let mut statement = conn.prepare_cached("DELETE FROM job WHERE app_id = ?1 AND name = ?2")?;
    Ok(statement.execute([app, name])? > 0)
}

/// The apps that have jobs due at `now`: a few steps in an index for each app that has jobs, however many it has.
pub(crate) fn apps_due(conn: &Connection, now: i64) -> Result<Vec<String>, StoreError> {
    let mut statement = conn.prepare_cached(
        "WITH RECURSIVE apps (id) AS (
           SELECT min(app_id) FROM job
           UNION ALL SELECT (SELECT min(app_id) FROM job WHERE app_id > id) FROM apps WHERE id IS NOT NULL)
         SELECT id FROM apps WHERE id IS NOT NULL
         AND EXISTS (SELECT 1 FROM job WHERE app_id = id AND due_at <= ?1)",
    )?;
    let rows = statement.query_map([now], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Up to `limit` jobs of `app` due at `now`, the oldest first.
pub(crate) fn due(conn: &Connection, app: &str, now: i64, limit: usize) -> Result<Vec<JobRow>, StoreError> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM job WHERE app_id = ?1 AND due_at <= ?2 ORDER BY due_at LIMIT ?3"
    ))?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![app, now, limit], job)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(crate) fn next_due(conn: &Connection, now: i64) -> Result<Option<i64>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT min(due_at) FROM job WHERE due_at > ?1")?;
    Ok(statement.query_row([now], |row| row.get(0))?)
}

/// Sets when the job is due next, unless it has been scheduled anew meanwhile.
pub(crate) fn reschedule(conn: &Connection, job: &JobRow) -> Result<(), StoreError> {
    conn.prepare_cached(
        "UPDATE job SET due_at = ?4, fired = ?5, attempts = ?6
         WHERE app_id = ?1 AND name = ?2 AND generation = ?3",
    )?
    .execute(params![
        job.app_id,
        job.name,
        job.generation,
        job.due_at,
        job.fired,
        job.attempts
    ])?;
    Ok(())
}

/// Removes a job that is done, unless it has been scheduled anew meanwhile.
pub(crate) fn finish(conn: &Connection, job: &JobRow) -> Result<(), StoreError> {
    conn.prepare_cached("DELETE FROM job WHERE app_id = ?1 AND name = ?2 AND generation = ?3")?
        .execute(params![job.app_id, job.name, job.generation])?;
    Ok(())
}

fn job(row: &Row<'_>) -> rusqlite::Result<JobRow> {
    Ok(JobRow {
        app_id: row.get(0)?,
        name: row.get(1)?,
        spec: row.get(2)?,
        due_at: row.get(3)?,
        fired: row.get(4)?,
        attempts: row.get(5)?,
        generation: row.get(6)?,
        expires_at: row.get(7)?,
    })
}
