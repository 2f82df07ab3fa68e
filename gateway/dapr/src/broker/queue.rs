//! Queued events: one row per subscribing app, deleted once that app has taken it.
//!
//! An app-id of `''` marks dead letters without a subscriber: they stay until there is one. A due time of [`PARKED`]
//! marks an event whose retries are used up and that has no dead-letter topic: it stays for an operator, and is never
//! dropped by itself.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;

use crate::{app::AppId, event::Event, quotas::Quotas, store::StoreError};

/// The due time of an event that is not tried again.
pub(crate) const PARKED: i64 = i64::MAX;

/// An event waiting for one app.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) id: i64,
    pub(crate) event: Event,
    /// Deliveries that the app has already failed.
    pub(crate) attempts: u32,
}

/// The depth of one queue.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct QueueDepth {
    /// The subscribing app; empty for dead letters without a subscriber.
    pub app_id: String,
    /// The pub/sub component.
    pub pubsub: String,
    /// The topic.
    pub topic: String,
    /// Events that will be delivered.
    pub waiting: u64,
    /// Events whose retries are used up and that have no dead-letter topic.
    pub parked: u64,
    /// The time at which the oldest of those that will be delivered was published, in milliseconds since 1970.
    pub oldest_waiting: Option<i64>,
    /// The time at which the oldest of the parked ones was published, in milliseconds since 1970.
    pub oldest_parked: Option<i64>,
}

/// The bytes that an event counts for in each queue.
pub(crate) fn bytes_of(event: &Event) -> u64 {
    let metadata = metadata_of(event).map_or(0, |text| text.len());
    let trace = event.tracestate.as_ref().map_or(0, String::len);
    let names = event.pubsub.len() + event.topic.len() + event.content_type.len();
    let bytes = event.data.len() + names + metadata + trace;
    Quotas::ROW + bytes as u64
}

fn metadata_of(event: &Event) -> Option<String> {
    (!event.metadata.is_empty()).then(|| serde_json::to_string(&event.metadata).unwrap_or_default())
}

/// Queues `event` of `publisher` for each of `apps`.
pub(crate) fn push<'a>(
    conn: &Connection,
    publisher: &AppId,
    event: &Event,
    apps: impl IntoIterator<Item = &'a str>,
    now: i64,
) -> Result<(), StoreError> {
    let mut statement = conn.prepare_cached(
        "INSERT INTO delivery (app_id, pubsub, topic, data, content_type, raw, traceparent,
         tracestate, created_at, due_at, expires_at, metadata, publisher, bytes)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10, ?11, ?12, ?13)",
    )?;
    let (metadata, bytes) = (metadata_of(event), bytes_of(event));
    for app in apps {
        statement.execute(params![
            app,
            event.pubsub,
            event.topic,
            event.data.as_ref(),
            event.content_type,
            event.raw,
            event.traceparent,
            event.tracestate,
            now,
            event.expires_at,
            metadata,
            publisher.as_str(),
            i64::try_from(bytes).unwrap_or(i64::MAX),
        ])?;
    }
    Ok(())
}

/// An event that is due, without its body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    pub(crate) id: i64,
    /// Milliseconds since 1970.
    pub(crate) at: i64,
    /// The length of its body.
    pub(crate) bytes: usize,
}

/// Up to `limit` events due for `app`, oldest due first.
pub(crate) fn due(
    conn: &Connection,
    (app, pubsub, topic): (&str, &str, &str),
    now: i64,
    limit: usize,
) -> Result<Vec<Due>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT id, due_at, length(data) FROM delivery
         WHERE app_id = ?1 AND pubsub = ?2 AND topic = ?3 AND due_at <= ?4
         ORDER BY due_at, id LIMIT ?5",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![app, pubsub, topic, now, limit], |row| {
        let bytes = row.get::<_, i64>(2)?;
        Ok(Due {
            id: row.get(0)?,
            at: row.get(1)?,
            bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// These events with their bodies; those that are gone meanwhile are left out.
pub(crate) fn load(conn: &Connection, ids: &[i64]) -> Result<Vec<Delivery>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT id, pubsub, topic, data, content_type, raw, traceparent, tracestate, expires_at,
         attempts, metadata FROM delivery WHERE id = ?1",
    )?;
    let mut deliveries = Vec::with_capacity(ids.len());
    for id in ids {
        deliveries.extend(statement.query_row([id], delivery).optional()?);
    }
    Ok(deliveries)
}

/// The time after `now` at which the next event of the queue is due, in milliseconds since 1970.
pub(crate) fn next_due(
    conn: &Connection,
    (app, pubsub, topic): (&str, &str, &str),
    now: i64,
) -> Result<Option<i64>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT min(due_at) FROM delivery
         WHERE app_id = ?1 AND pubsub = ?2 AND topic = ?3 AND due_at > ?4 AND due_at < ?5",
    )?;
    Ok(statement.query_row(params![app, pubsub, topic, now, PARKED], |row| row.get(0))?)
}

/// The event has been taken, or dropped.
pub(crate) fn remove(conn: &Connection, id: i64) -> Result<(), StoreError> {
    conn.prepare_cached("DELETE FROM delivery WHERE id = ?1")?
        .execute([id])?;
    Ok(())
}

/// Tries the event again at `due_at`, or never if that is [`PARKED`].
pub(crate) fn reschedule(conn: &Connection, id: i64, attempts: u32, due_at: i64) -> Result<(), StoreError> {
    conn.prepare_cached("UPDATE delivery SET attempts = ?2, due_at = ?3 WHERE id = ?1")?
        .execute(params![id, attempts, due_at])?;
    Ok(())
}

/// Gives dead letters that had no subscriber to `app`, which now is one.
pub(crate) fn adopt(conn: &Connection, app: &str, pubsub: &str, topic: &str) -> Result<usize, StoreError> {
    let mut statement =
        conn.prepare_cached("UPDATE delivery SET app_id = ?1 WHERE app_id = '' AND pubsub = ?2 AND topic = ?3")?;
    Ok(statement.execute(params![app, pubsub, topic])?)
}

/// Removes events past their time to live; up to `most` at a time, and answers how many there were.
pub(crate) fn sweep(conn: &Connection, now: i64, most: usize) -> Result<usize, StoreError> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut statement = conn
        .prepare_cached("DELETE FROM delivery WHERE id IN (SELECT id FROM delivery WHERE expires_at <= ?1 LIMIT ?2)")?;
    Ok(statement.execute(params![now, most])?)
}

/// The depth of each queue.
pub(crate) fn depths(conn: &Connection) -> Result<Vec<QueueDepth>, StoreError> {
    // Numbers are given in the order of publishing, and are in the index: no body is read.
    let mut statement = conn.prepare_cached(
        "SELECT app_id, pubsub, topic, waiting, parked,
           (SELECT created_at FROM delivery WHERE id = first_waiting),
           (SELECT created_at FROM delivery WHERE id = first_parked)
         FROM (SELECT app_id, pubsub, topic, sum(due_at < ?1) AS waiting, sum(due_at = ?1) AS parked,
             min(CASE WHEN due_at < ?1 THEN id END) AS first_waiting,
             min(CASE WHEN due_at = ?1 THEN id END) AS first_parked
           FROM delivery GROUP BY app_id, pubsub, topic)",
    )?;
    let rows = statement.query_map([PARKED], |row| {
        let count = |at| row.get::<_, i64>(at).map(|n| u64::try_from(n).unwrap_or(0));
        Ok(QueueDepth {
            app_id: row.get(0)?,
            pubsub: row.get(1)?,
            topic: row.get(2)?,
            waiting: count(3)?,
            parked: count(4)?,
            oldest_waiting: row.get(5)?,
            oldest_parked: row.get(6)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Remembers what `app` subscribes to, so that after a restart nothing is missed before the app
/// could be asked again.
pub(crate) fn remember_subscriptions(
    conn: &Connection,
    app: &str,
    specs: &[(String, String, String)],
) -> Result<(), StoreError> {
    conn.prepare_cached("DELETE FROM subscription WHERE app_id = ?1")?
        .execute([app])?;
    let mut statement = conn.prepare_cached("INSERT OR REPLACE INTO subscription VALUES (?1, ?2, ?3, ?4)")?;
    for (pubsub, topic, spec) in specs {
        statement.execute(params![app, pubsub, topic, spec])?;
    }
    Ok(())
}

/// The subscriptions that each app told last: app-id and specification.
pub(crate) fn remembered_subscriptions(conn: &Connection) -> Result<Vec<(String, String)>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT app_id, spec FROM subscription")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    let metadata: Option<String> = row.get(10)?;
    Ok(Delivery {
        id: row.get(0)?,
        event: Event {
            pubsub: row.get(1)?,
            topic: row.get(2)?,
            data: row.get::<_, Vec<u8>>(3)?.into(),
            content_type: row.get(4)?,
            raw: row.get(5)?,
            traceparent: row.get(6)?,
            tracestate: row.get(7)?,
            expires_at: row.get(8)?,
            metadata: metadata
                .and_then(|text| serde_json::from_str(&text).ok())
                .unwrap_or_default(),
        },
        attempts: row.get(9)?,
    })
}
