//! The tables of the database, and whether a file has them as this program makes them.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::{SCHEMA_VERSION, StoreError, usage};

/// The statements that make of each older layout the next one; the first is of layout 1. A new file begins with layout
/// [`SCHEMA_BASE`], so that it is no other than one that has grown old.
const UPGRADES: [&str; 2] = [
    "ALTER TABLE delivery ADD COLUMN metadata TEXT",
    usage::ACCOUNTS,
];

/// The layout that [`SCHEMA`] makes.
const SCHEMA_BASE: i64 = 2;

const SCHEMA: &str = "
CREATE TABLE sequence (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO sequence VALUES ('etag', 0);
CREATE TABLE state (
  store TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, etag INTEGER NOT NULL,
  expires_at INTEGER, PRIMARY KEY (store, key));
CREATE INDEX state_expiry ON state (expires_at) WHERE expires_at IS NOT NULL;
CREATE TABLE delivery (
  id INTEGER PRIMARY KEY AUTOINCREMENT, app_id TEXT NOT NULL, pubsub TEXT NOT NULL,
  topic TEXT NOT NULL, data BLOB NOT NULL, content_type TEXT NOT NULL, raw INTEGER NOT NULL,
  traceparent TEXT, tracestate TEXT, attempts INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL, due_at INTEGER NOT NULL, expires_at INTEGER, metadata TEXT);
CREATE INDEX delivery_due ON delivery (app_id, pubsub, topic, due_at, id);
CREATE TABLE subscription (
  app_id TEXT NOT NULL, pubsub TEXT NOT NULL, topic TEXT NOT NULL, spec TEXT NOT NULL,
  PRIMARY KEY (app_id, pubsub, topic)) WITHOUT ROWID;
CREATE TABLE lock (
  store TEXT NOT NULL, resource TEXT NOT NULL, owner TEXT NOT NULL, expires_at INTEGER NOT NULL,
  PRIMARY KEY (store, resource)) WITHOUT ROWID;
CREATE TABLE job (
  app_id TEXT NOT NULL, name TEXT NOT NULL, spec TEXT NOT NULL, due_at INTEGER NOT NULL,
  fired INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,
  generation INTEGER NOT NULL, expires_at INTEGER, PRIMARY KEY (app_id, name));
CREATE INDEX job_due ON job (due_at);
INSERT INTO sequence VALUES ('job', 0);
";

/// Indexes that make work of the background cheap; an older program does without them.
const INDEXES: &str = "
CREATE INDEX IF NOT EXISTS job_due_of_app ON job (app_id, due_at);
CREATE INDEX IF NOT EXISTS lock_expiry ON lock (expires_at);
CREATE INDEX IF NOT EXISTS delivery_expiry ON delivery (expires_at) WHERE expires_at IS NOT NULL;
";

/// Makes the tables of an empty database, and of an older one those of today.
pub(super) fn bring_up_to_date(conn: &Connection) -> Result<(), StoreError> {
    let mut version = layout(conn)?;
    if version == 0 {
        conn.execute_batch(SCHEMA)?;
        version = SCHEMA_BASE;
    }
    if version < SCHEMA_VERSION {
        let done = usize::try_from(version - 1).unwrap_or_default();
        for upgrade in UPGRADES.iter().skip(done) {
            conn.execute_batch(upgrade)?;
        }
        conn.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    }
    conn.execute_batch(INDEXES)?;
    Ok(())
}

/// The number of the layout of a file; 0 of an empty one.
fn layout(conn: &Connection) -> Result<i64, StoreError> {
    Ok(conn.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

/// Refuses a file of a newer version or of another program. One of an older version is read whole before it is
/// changed: a damaged one is not made worse.
pub(super) fn check_layout(conn: &Connection) -> Result<(), StoreError> {
    match layout(conn)? {
        0 => {
            let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
            if tables > 0 {
                return Err(StoreError::Foreign);
            }
        }
        SCHEMA_VERSION => {}
        1..SCHEMA_VERSION => {
            let found: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
            if found != "ok" {
                return Err(StoreError::Damaged(found));
            }
        }
        other => return Err(StoreError::Version(other)),
    }
    Ok(())
}

/// Refuses a copy that is no database of this program, or has anything in it that this program does not put there: a
/// trigger would be run, and a table, view or index may hold what is. Nothing of it is run for that.
pub(super) fn check_own(conn: &Connection) -> Result<(), StoreError> {
    let version = match layout(conn)? {
        // An empty file is a database, too; a copy of ours has a layout.
        ..=0 => return Err(StoreError::Foreign),
        version @ 1..=SCHEMA_VERSION => version,
        newer => return Err(StoreError::Version(newer)),
    };
    let (own, found) = (parts(&of_layout(version)?)?, parts(conn)?);
    for (name, part) in &found {
        let wrong = match own.get(name) {
            Some(right) if right == part => continue,
            Some(_) => "is not as this program makes it",
            None => "is not this program's",
        };
        let kind = &part.kind;
        return Err(StoreError::Altered(format!("its {kind} {name} {wrong}")));
    }
    // What only makes work cheap may be missing.
    let is_needed = |name: &str| !INDEXES.contains(&format!(" {name} ON "));
    match own
        .iter()
        .find(|(name, _)| !found.contains_key(*name) && is_needed(name))
    {
        Some((name, part)) => Err(StoreError::Altered(format!(
            "its {} {name} is missing",
            part.kind
        ))),
        None => Ok(()),
    }
}

/// A table, index, view or trigger.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    kind: String,
    table: String,
    /// The statement that made it.
    sql: String,
}

/// What a database is made of, by names. Indexes of primary keys have no statement: they are their tables'.
fn parts(conn: &Connection) -> Result<BTreeMap<String, Part>, StoreError> {
    let mut statement = conn.prepare("SELECT name, type, tbl_name, sql FROM sqlite_schema WHERE sql IS NOT NULL")?;
    let rows = statement.query_map([], |row| {
        let part = Part {
            kind: row.get(1)?,
            table: row.get(2)?,
            sql: row.get(3)?,
        };
        Ok((row.get(0)?, part))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// An empty database of a layout, as whoever began with it has it.
fn of_layout(version: i64) -> Result<Connection, StoreError> {
    let conn = Connection::open_in_memory()?;
    conn.execute_batch(SCHEMA)?;
    if version < SCHEMA_BASE {
        conn.execute_batch("ALTER TABLE delivery DROP COLUMN metadata")?;
    }
    let [base, version] = [SCHEMA_BASE, version].map(|layout| usize::try_from(layout - 1).unwrap_or_default());
    for upgrade in UPGRADES.iter().take(version).skip(base) {
        conn.execute_batch(upgrade)?;
    }
    conn.execute_batch(INDEXES)?;
    Ok(conn)
}
