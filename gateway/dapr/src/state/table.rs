//! State: keys, values, ETags and expiry.

use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    app::AppId,
    quotas::{Kept, Quotas},
    store::{StoreError, WriteError, next, usage::Meter},
};

/// A value as it is stored: JSON text, verbatim as it was saved.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) value: String,
    pub(crate) etag: i64,
    /// Milliseconds since 1970.
    pub(crate) expires_at: Option<i64>,
}

/// An ETag that no row ever has: numbers given out are positive.
pub(crate) const NO_ETAG: i64 = -1;

/// One change to one key.
#[derive(Debug)]
pub(crate) enum Change {
    Upsert {
        key: String,
        value: String,
        etag: Option<i64>,
        /// With no ETag: the key must not exist.
        first_write: bool,
        expires_at: Option<i64>,
    },
    Delete {
        key: String,
        etag: Option<i64>,
    },
}

/// The reason for which a change was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    #[error("the ETag of key {0:?} does not match")]
    Mismatch(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl WriteError for ChangeError {
    fn as_store(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            Self::Mismatch(_) => None,
        }
    }
}

impl From<rusqlite::Error> for ChangeError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// The live item under `key`.
pub(crate) fn get(conn: &Connection, store: &str, key: &str, now: i64) -> Result<Option<Item>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT value, etag, expires_at FROM state WHERE store = ?1 AND key = ?2
         AND (expires_at IS NULL OR expires_at > ?3)",
    )?;
    let item = statement.query_row(params![store, key, now], |row| {
        Ok(Item {
            value: row.get(0)?,
            etag: row.get(1)?,
            expires_at: row.get(2)?,
        })
    });
    Ok(item.optional()?)
}

/// Keys of one page at most.
const KEYS_AT_ONCE: usize = 1_000;

/// Keys that are live, in the order in which they came to be.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct StateKeys {
    /// The keys.
    pub keys: Vec<String>,
    /// The place of the last of them, if there are more: the next page begins after it.
    pub next: Option<i64>,
}

/// The live keys that begin with `prefix`, after the place `after`. A place is a row's number: what is written or
/// deleted meanwhile moves no other key.
pub(crate) fn keys(
    conn: &Connection,
    store: &str,
    prefix: &str,
    after: i64,
    now: i64,
) -> Result<StateKeys, StoreError> {
    // The plus signs have the index of the keys read, which has the numbers too: other apps' rows are not looked at.
    let mut statement = conn.prepare_cached(
        "SELECT rowid, key FROM state WHERE store = ?1 AND key >= ?2 AND key < ?3 AND +rowid > ?4
         AND (expires_at IS NULL OR expires_at > ?5) ORDER BY +rowid LIMIT ?6",
    )?;
    let end = format!("{prefix}\u{10FFFF}");
    let most = i64::try_from(KEYS_AT_ONCE + 1).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![store, prefix, end, after, now, most], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
    })?;
    let mut found = rows.collect::<Result<Vec<_>, _>>()?;
    let is_cut = found.len() > KEYS_AT_ONCE;
    found.truncate(KEYS_AT_ONCE);
    let next = found.last().map(|(place, _)| *place).filter(|_| is_cut);
    let keys = found.into_iter().map(|(_, key)| key).collect();
    Ok(StateKeys { keys, next })
}

/// Makes `change` of `app` if its conditions hold; from then on the item counts for that app.
pub(crate) fn apply(conn: &Connection, store: &str, app: &str, change: &Change, now: i64) -> Result<(), ChangeError> {
    let (key, changed) = match change {
        Change::Upsert {
            key,
            value,
            etag,
            first_write,
            expires_at,
        } => {
            let new = next(conn, "etag")?;
            let changed = match etag {
                Some(etag) => conn
                    .prepare_cached(
                        "UPDATE state SET value = ?3, etag = ?4, expires_at = ?5, app_id = ?8
                         WHERE store = ?1 AND key = ?2 AND etag = ?6
                         AND (expires_at IS NULL OR expires_at > ?7)",
                    )?
                    .execute(params![store, key, value, new, expires_at, etag, now, app])?,
                None => conn
                    .prepare_cached(
                        "INSERT INTO state (store, key, value, etag, expires_at, app_id)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?8) ON CONFLICT DO UPDATE
                         SET value = excluded.value, etag = excluded.etag,
                             expires_at = excluded.expires_at, app_id = excluded.app_id
                         WHERE NOT ?6 OR state.expires_at <= ?7",
                    )?
                    .execute(params![
                        store,
                        key,
                        value,
                        new,
                        expires_at,
                        first_write,
                        now,
                        app
                    ])?,
            };
            (key, changed)
        }
        Change::Delete { key, etag: None } => {
            let mut statement = conn.prepare_cached("DELETE FROM state WHERE store = ?1 AND key = ?2")?;
            statement.execute(params![store, key])?;
            return Ok(());
        }
        Change::Delete {
            key,
            etag: Some(etag),
        } => {
            let mut statement = conn.prepare_cached(
                "DELETE FROM state WHERE store = ?1 AND key = ?2 AND etag = ?3
                 AND (expires_at IS NULL OR expires_at > ?4)",
            )?;
            (key, statement.execute(params![store, key, etag, now])?)
        }
    };
    if changed == 0 {
        return Err(ChangeError::Mismatch(key.clone()));
    }
    Ok(())
}

/// Removes what has expired, of every store; up to `most` at a time, and answers how many there were.
pub(crate) fn sweep(conn: &Connection, now: i64, most: usize) -> Result<usize, StoreError> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut statement = conn
        .prepare_cached("DELETE FROM state WHERE rowid IN (SELECT rowid FROM state WHERE expires_at <= ?1 LIMIT ?2)")?;
    Ok(statement.execute(params![now, most])?)
}

/// Empties a store: what `state.in-memory` means at a start.
pub(crate) fn clear(conn: &Connection, store: &str) -> Result<usize, StoreError> {
    Ok(conn.execute("DELETE FROM state WHERE store = ?1", [store])?)
}

/// Does `work`, which changes state of `app`, within what that app may keep.
pub(super) fn metered(
    conn: &Connection,
    app: &AppId,
    quotas: &Quotas,
    work: impl FnOnce() -> Result<(), ChangeError>,
) -> Result<(), ChangeError> {
    let meter = Meter::read(conn, app, Kept::State, quotas)?;
    work()?;
    Ok(meter.check(conn, Some(sweep))?)
}
