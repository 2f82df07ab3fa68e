//! Undeliverable events: an operator can list, redeliver or drop them.

use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use super::queue::PARKED;
use crate::store::StoreError;

/// Rows that one transaction changes at most, so that other writers wait no longer for an operator
/// than for each other.
pub(crate) const BATCH: usize = 1_000;

/// Bodies up to this length are looked into for the event's own name; longer ones are not read.
const MAX_READ: i64 = 64 * 1024;

/// A choice of parked events; a field that is absent means any.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct ParkedFilter {
    /// The subscribing package, by its app-id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// The pub/sub component.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pubsub: Option<String>,
    /// The topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// One event, by the number it has in the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<i64>,
}

impl ParkedFilter {
    /// Returns true if every event is meant.
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }
}

/// A reason for which nothing delivers an event.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ParkedState {
    /// Its retries are used up, and there is no dead-letter topic.
    Parked,
    /// It is a dead letter, and nobody subscribes to its topic.
    Unclaimed,
}

/// One event that an operator may handle. Its body is not shown: it is the package's.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct Parked {
    /// Its number here.
    pub id: i64,
    /// The reason for which it is not delivered.
    pub state: ParkedState,
    /// The subscribing package; empty for dead letters that nobody subscribes to.
    pub package: String,
    /// The pub/sub component.
    pub pubsub: String,
    /// The topic.
    pub topic: String,
    /// Deliveries that failed.
    pub attempts: u32,
    /// The time of publishing, in milliseconds since 1970.
    pub published_ms: i64,
    /// The length of its body.
    pub bytes: u64,
    /// The `id` of its CloudEvent, if the body is one of moderate length.
    pub event_id: Option<String>,
    /// The `type` of its CloudEvent, likewise.
    pub event_type: Option<String>,
    /// The trace that it belongs to.
    pub traceparent: Option<String>,
}

/// The condition that [`ParkedFilter`] stands for, with its four values as the first parameters.
const MEANT: &str = "(?1 IS NULL OR app_id = ?1) AND (?2 IS NULL OR pubsub = ?2)
    AND (?3 IS NULL OR topic = ?3) AND (?4 IS NULL OR id = ?4)";

/// Up to `limit` of the events that `filter` means, oldest first.
pub(crate) fn list(conn: &Connection, filter: &ParkedFilter, limit: usize) -> Result<Vec<Parked>, StoreError> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT id, app_id, pubsub, topic, attempts, created_at, length(data),
           CASE WHEN length(data) <= ?7 THEN data END, traceparent, due_at = ?5
         FROM delivery WHERE {MEANT} AND (due_at = ?5 OR app_id = '') ORDER BY id LIMIT ?6"
    ))?;
    let ParkedFilter {
        package,
        pubsub,
        topic,
        id,
    } = filter;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let values = params![package, pubsub, topic, id, PARKED, limit, MAX_READ];
    let rows = statement.query_map(values, |row| {
        let body: Option<Vec<u8>> = row.get(7)?;
        let name: Name = body
            .and_then(|body| serde_json::from_slice(&body).ok())
            .unwrap_or_default();
        Ok(Parked {
            id: row.get(0)?,
            state: if row.get(9)? {
                ParkedState::Parked
            } else {
                ParkedState::Unclaimed
            },
            package: row.get(1)?,
            pubsub: row.get(2)?,
            topic: row.get(3)?,
            attempts: row.get(4)?,
            published_ms: row.get(5)?,
            bytes: u64::try_from(row.get::<_, i64>(6)?).unwrap_or(0),
            event_id: name.id,
            event_type: name.r#type,
            traceparent: row.get(8)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The names in a CloudEvent.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Name {
    id: Option<String>,
    r#type: Option<String>,
}

/// An event that was released: its number, component and topic.
pub(crate) type Released = (i64, String, String);

/// Makes up to [`BATCH`] parked events whose number is above `after` due again, with all their
/// retries. One that is parked again meanwhile is not met twice.
pub(crate) fn release(
    conn: &Connection,
    filter: &ParkedFilter,
    now: i64,
    after: i64,
) -> Result<Vec<Released>, StoreError> {
    let mut statement = conn.prepare_cached(&format!(
        "UPDATE delivery SET attempts = 0, due_at = ?6 WHERE id IN (SELECT id FROM delivery
           WHERE {MEANT} AND due_at = ?5 AND id > ?7 ORDER BY id LIMIT {BATCH})
         RETURNING id, pubsub, topic"
    ))?;
    let ParkedFilter {
        package,
        pubsub,
        topic,
        id,
    } = filter;
    let values = params![package, pubsub, topic, id, PARKED, now, after];
    let rows = statement.query_map(values, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Removes up to [`BATCH`] events that are parked or unclaimed; answers how many.
pub(crate) fn drop_some(conn: &Connection, filter: &ParkedFilter) -> Result<usize, StoreError> {
    let mut statement = conn.prepare_cached(&format!(
        "DELETE FROM delivery WHERE id IN (SELECT id FROM delivery
           WHERE {MEANT} AND (due_at = ?5 OR app_id = '') ORDER BY id LIMIT {BATCH})"
    ))?;
    let ParkedFilter {
        package,
        pubsub,
        topic,
        id,
    } = filter;
    Ok(statement.execute(params![package, pubsub, topic, id, PARKED])?)
}
