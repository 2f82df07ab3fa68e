//! Usage per app, counted by the database itself: triggers update the counts within the transaction that changes the
//! data, so that they are exact after a crash too, and nothing is ever scanned.

use rusqlite::{Connection, OptionalExtension, params};

use super::{SLICE, StoreError};
use crate::{
    app::AppId,
    quotas::{Kept, Quota, QuotaExceeded, Quotas},
    time::now_ms,
};

/// The statements that make of layout 2 layout 3, where whoever wrote a row is known and what each app keeps is
/// counted.
///
/// Rows that are there already are counted once. Their writers are not known: state counts for the app whose prefix its
/// key has, and what else has none counts for nobody. `128` is [`Quotas::ROW`], and the number that `due_at` is
/// compared with is `broker::queue::PARKED`.
pub(super) const ACCOUNTS: &str = "
ALTER TABLE state ADD COLUMN app_id TEXT;
ALTER TABLE delivery ADD COLUMN publisher TEXT;
ALTER TABLE lock ADD COLUMN app_id TEXT;
CREATE TABLE usage (
  app_id TEXT NOT NULL, kind TEXT NOT NULL, bytes INTEGER NOT NULL, items INTEGER NOT NULL,
  PRIMARY KEY (app_id, kind)) WITHOUT ROWID;

CREATE VIEW kept_state AS SELECT rowid AS id,
  ifnull(app_id, substr(key, 1, max(instr(key, '||') - 1, 0))) AS payer,
  octet_length(key) + octet_length(value) + 128 AS bytes FROM state;
INSERT INTO usage SELECT payer, 'state', sum(bytes), count(*) FROM kept_state GROUP BY payer;
DROP VIEW kept_state;
CREATE TRIGGER state_kept AFTER INSERT ON state BEGIN
  INSERT INTO usage VALUES (ifnull(NEW.app_id, substr(NEW.key, 1, max(instr(NEW.key, '||') - 1, 0))), 'state',
    octet_length(NEW.key) + octet_length(NEW.value) + 128, 1)
  ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes, items = items + 1;
END;
CREATE TRIGGER state_gone AFTER DELETE ON state BEGIN
  UPDATE usage SET bytes = bytes - (octet_length(OLD.key) + octet_length(OLD.value) + 128), items = items - 1
  WHERE kind = 'state' AND app_id = ifnull(OLD.app_id, substr(OLD.key, 1, max(instr(OLD.key, '||') - 1, 0)));
END;
CREATE TRIGGER state_changed AFTER UPDATE OF value, app_id ON state BEGIN
  UPDATE usage SET bytes = bytes - (octet_length(OLD.key) + octet_length(OLD.value) + 128), items = items - 1
  WHERE kind = 'state' AND app_id = ifnull(OLD.app_id, substr(OLD.key, 1, max(instr(OLD.key, '||') - 1, 0)));
  INSERT INTO usage VALUES (ifnull(NEW.app_id, substr(NEW.key, 1, max(instr(NEW.key, '||') - 1, 0))), 'state',
    octet_length(NEW.key) + octet_length(NEW.value) + 128, 1)
  ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes, items = items + 1;
END;

ALTER TABLE delivery ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
UPDATE delivery SET bytes = octet_length(data) + octet_length(pubsub) + octet_length(topic)
  + octet_length(content_type) + ifnull(octet_length(metadata), 0) + ifnull(octet_length(tracestate), 0) + 128;
INSERT INTO usage SELECT app_id, 'queue', sum(bytes), count(*) FROM delivery WHERE app_id != '' GROUP BY app_id;
CREATE TRIGGER delivery_kept AFTER INSERT ON delivery BEGIN
  INSERT INTO usage SELECT NEW.app_id, 'queue', NEW.bytes, 1 WHERE NEW.app_id != ''
  ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes, items = items + 1;
  INSERT INTO usage SELECT NEW.publisher, 'published', NEW.bytes, 1
  WHERE NEW.publisher IS NOT NULL AND NEW.due_at != 9223372036854775807
  ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes, items = items + 1;
END;
CREATE TRIGGER delivery_gone AFTER DELETE ON delivery BEGIN
  UPDATE usage SET bytes = bytes - OLD.bytes, items = items - 1 WHERE kind = 'queue' AND app_id = OLD.app_id;
  UPDATE usage SET bytes = bytes - OLD.bytes, items = items - 1
  WHERE kind = 'published' AND app_id = OLD.publisher AND OLD.due_at != 9223372036854775807;
END;
CREATE TRIGGER delivery_adopted AFTER UPDATE OF app_id ON delivery WHEN OLD.app_id != NEW.app_id BEGIN
  UPDATE usage SET bytes = bytes - OLD.bytes, items = items - 1 WHERE kind = 'queue' AND app_id = OLD.app_id;
  INSERT INTO usage SELECT NEW.app_id, 'queue', NEW.bytes, 1 WHERE NEW.app_id != ''
  ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes, items = items + 1;
END;
CREATE TRIGGER delivery_parked AFTER UPDATE OF due_at ON delivery
WHEN OLD.due_at != 9223372036854775807 AND NEW.due_at = 9223372036854775807 BEGIN
  UPDATE usage SET bytes = bytes - OLD.bytes, items = items - 1 WHERE kind = 'published' AND app_id = OLD.publisher;
END;
CREATE TRIGGER delivery_released AFTER UPDATE OF due_at ON delivery
WHEN OLD.due_at = 9223372036854775807 AND NEW.due_at != 9223372036854775807 BEGIN
  INSERT INTO usage SELECT NEW.publisher, 'published', NEW.bytes, 1 WHERE NEW.publisher IS NOT NULL
  ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes, items = items + 1;
END;

INSERT INTO usage SELECT app_id, 'jobs', sum(octet_length(name) + octet_length(spec) + 128), count(*)
  FROM job GROUP BY app_id;
CREATE TRIGGER job_kept AFTER INSERT ON job BEGIN
  INSERT INTO usage VALUES (NEW.app_id, 'jobs', octet_length(NEW.name) + octet_length(NEW.spec) + 128, 1)
  ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes, items = items + 1;
END;
CREATE TRIGGER job_gone AFTER DELETE ON job BEGIN
  UPDATE usage SET bytes = bytes - (octet_length(OLD.name) + octet_length(OLD.spec) + 128), items = items - 1
  WHERE kind = 'jobs' AND app_id = OLD.app_id;
END;
CREATE TRIGGER job_changed AFTER UPDATE OF spec ON job BEGIN
  UPDATE usage SET bytes = bytes + octet_length(NEW.spec) - octet_length(OLD.spec)
  WHERE kind = 'jobs' AND app_id = OLD.app_id;
END;

CREATE TRIGGER lock_kept AFTER INSERT ON lock WHEN NEW.app_id IS NOT NULL BEGIN
  INSERT INTO usage VALUES (NEW.app_id, 'locks', octet_length(NEW.resource) + octet_length(NEW.owner) + 128, 1)
  ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes, items = items + 1;
END;
CREATE TRIGGER lock_gone AFTER DELETE ON lock WHEN OLD.app_id IS NOT NULL BEGIN
  UPDATE usage SET bytes = bytes - (octet_length(OLD.resource) + octet_length(OLD.owner) + 128), items = items - 1
  WHERE kind = 'locks' AND app_id = OLD.app_id;
END;
CREATE TRIGGER lock_changed AFTER UPDATE OF owner, app_id ON lock BEGIN
  UPDATE usage SET bytes = bytes - (octet_length(OLD.resource) + octet_length(OLD.owner) + 128), items = items - 1
  WHERE kind = 'locks' AND app_id = OLD.app_id;
  INSERT INTO usage
  SELECT NEW.app_id, 'locks', octet_length(NEW.resource) + octet_length(NEW.owner) + 128, 1 WHERE NEW.app_id IS NOT NULL
  ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes, items = items + 1;
END;
";

/// So much is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) bytes: u64,
    pub(crate) items: u64,
}

/// One account during one write: how full it was before, and how full it may be.
pub(crate) struct Meter {
    app: AppId,
    kept: Kept,
    limit: Quota,
    before: Used,
}

/// Removes up to so many things that have expired by now.
type Sweep = fn(&Connection, i64, usize) -> Result<usize, StoreError>;

impl Meter {
    /// Reads the account of what `app` keeps of a kind.
    pub(crate) fn read(conn: &Connection, app: &AppId, kept: Kept, quotas: &Quotas) -> Result<Self, StoreError> {
        Ok(Self {
            app: app.clone(),
            kept,
            limit: kept.limits(quotas),
            before: used(conn, app, kept)?,
        })
    }

    /// Returns whether so many more bytes, as one thing, are within the quota.
    pub(crate) fn has_room(&self, bytes: u64) -> bool {
        self.before.bytes.saturating_add(bytes) <= self.limit.bytes && self.before.items < self.limit.items
    }

    /// Refuses a write that has made more of what is too much already. What takes nothing away from a full account may
    /// go on, and so may what makes it smaller. What has expired goes first: it counts only as long as nobody needs its
    /// room.
    ///
    /// # Errors
    /// When the quota is exceeded; the write must be undone then.
    pub(crate) fn check(self, conn: &Connection, sweep: Option<Sweep>) -> Result<(), StoreError> {
        let mut exceeded = self.exceeded(used(conn, &self.app, self.kept)?);
        if let (Some(_), Some(sweep)) = (&exceeded, sweep)
            && sweep(conn, now_ms(), SLICE)? > 0
        {
            exceeded = self.exceeded(used(conn, &self.app, self.kept)?);
        }
        exceeded.map_or(Ok(()), |exceeded| Err(StoreError::Quota(exceeded)))
    }

    fn exceeded(&self, after: Used) -> Option<QuotaExceeded> {
        let [bytes, items] = self.kept.keys();
        let is_beyond = |before, after, limit| after > limit && after > before;
        let (key, limit) = if is_beyond(self.before.bytes, after.bytes, self.limit.bytes) {
            (bytes, self.limit.bytes)
        } else if is_beyond(self.before.items, after.items, self.limit.items) {
            (items, self.limit.items)
        } else {
            return None;
        };
        Some(QuotaExceeded {
            app: self.app.clone(),
            kept: self.kept,
            key,
            limit,
        })
    }
}

/// How much `app` keeps of a kind.
fn used(conn: &Connection, app: &AppId, kept: Kept) -> Result<Used, StoreError> {
    let mut statement = conn.prepare_cached("SELECT bytes, items FROM usage WHERE app_id = ?1 AND kind = ?2")?;
    let used = statement.query_row(params![app.as_str(), kept.name()], |row| {
        Ok(Used {
            bytes: unsigned(row.get(0)?),
            items: unsigned(row.get(1)?),
        })
    });
    Ok(used.optional()?.unwrap_or_default())
}

/// How much each app keeps of each kind: app-id, kind, and how much.
pub(crate) fn all_used(conn: &Connection) -> Result<Vec<(String, Kept, Used)>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT app_id, kind, bytes, items FROM usage WHERE app_id != ''")?;
    let rows = statement.query_map([], |row| {
        let kind: String = row.get(1)?;
        let used = Used {
            bytes: unsigned(row.get(2)?),
            items: unsigned(row.get(3)?),
        };
        Ok((row.get(0)?, kind, used))
    })?;
    let mut all = Vec::new();
    for row in rows {
        let (app, kind, used): (String, String, Used) = row?;
        let kept = Kept::ALL.into_iter().find(|kept| kept.name() == kind);
        all.extend(kept.map(|kept| (app, kept, used)));
    }
    Ok(all)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
