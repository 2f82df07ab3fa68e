//! Locks with an owner and an expiry.

use rusqlite::{Connection, OptionalExtension, params};

use crate::store::StoreError;

/// The result of an unlock; the numbers are those of Dapr's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unlock {
    Done = 0,
    NotHeld = 1,
    HeldByAnother = 2,
}

/// Takes the lock unless another owner holds it; the same owner does not get it twice either.
pub(crate) fn try_lock(
    conn: &Connection,
    (app, store): (&str, &str),
    resource: &str,
    owner: &str,
    now: i64,
    expires_at: i64,
) -> Result<bool, StoreError> {
    let mut statement = conn.prepare_cached(
        "INSERT INTO lock (store, resource, owner, expires_at, app_id) VALUES (?1, ?2, ?3, ?4, ?6)
         ON CONFLICT DO UPDATE SET owner = excluded.owner, expires_at = excluded.expires_at, app_id = excluded.app_id
         WHERE lock.expires_at <= ?5",
    )?;
    Ok(statement.execute(params![store, resource, owner, expires_at, now, app])? > 0)
}

/// Gives the lock back if `owner` holds it.
pub(crate) fn unlock(
    conn: &Connection,
    store: &str,
    resource: &str,
    owner: &str,
    now: i64,
) -> Result<Unlock, StoreError> {
    let mut held =
        conn.prepare_cached("SELECT owner FROM lock WHERE store = ?1 AND resource = ?2 AND expires_at > ?3")?;
    let held: Option<String> = held
        .query_row(params![store, resource, now], |row| row.get(0))
        .optional()?;
    match held {
        None => Ok(Unlock::NotHeld),
        Some(holder) if holder != owner => Ok(Unlock::HeldByAnother),
        Some(_) => {
            let mut statement = conn.prepare_cached("DELETE FROM lock WHERE store = ?1 AND resource = ?2")?;
            statement.execute(params![store, resource])?;
            Ok(Unlock::Done)
        }
    }
}

/// Removes up to `most` locks that have expired, of every store; answers how many there were.
pub(crate) fn sweep(conn: &Connection, now: i64, most: usize) -> Result<usize, StoreError> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut statement = conn.prepare_cached(
        "DELETE FROM lock WHERE (store, resource) IN
         (SELECT store, resource FROM lock WHERE expires_at <= ?1 LIMIT ?2)",
    )?;
    Ok(statement.execute(params![now, most])?)
}
