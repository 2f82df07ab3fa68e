//! State: keys and values of apps, transactions with their outbox, and queries.

mod change;
mod outbox;
mod query;
mod table;
mod transaction;

use std::sync::Arc;

use change::{etag, is_first_write};
pub(crate) use query::{Found, Query};
pub use table::StateKeys;
use table::{Change, ChangeError};
pub(crate) use table::{Item, sweep};

use crate::{
    app::{AppId, Apps},
    broker::Broker,
    components::{Current, Outbox, find},
    error::ApiError,
    key::full_key,
    protocol::body::{
        self,
        forms::{Options as WriteOptions, SaveItem},
    },
    quotas::Quotas,
    store::{SLICE, Store, StoreError, store_error},
    time::now_ms,
};

/// Keys of one bulk get, and operations of one transaction, at most: one call must not hold the
/// database for long.
const MAX_ITEMS: usize = 10_000;

/// The values of one answer at most, in bytes: it is put together in memory.
const MAX_ANSWER: usize = 32 * 1024 * 1024;

/// The block's surroundings.
pub(crate) struct Options {
    pub(crate) store: Arc<Store>,
    pub(crate) components: Current,
    /// For the events of transactions.
    pub(crate) broker: Arc<Broker>,
    /// For their quotas.
    pub(crate) apps: Arc<Apps>,
}

/// The building block.
pub(crate) struct State {
    store: Arc<Store>,
    components: Current,
    broker: Arc<Broker>,
    apps: Arc<Apps>,
}

/// One state store, as one app sees it.
pub(crate) struct StateStore<'a> {
    block: &'a State,
    name: &'a str,
    /// The topic of the store's outbox.
    outbox: Option<Outbox>,
    app: &'a AppId,
    /// Stands before all keys of the app.
    prefix: String,
}

impl State {
    pub(crate) fn new(options: Options) -> Self {
        let Options {
            store,
            components,
            broker,
            apps,
        } = options;
        Self {
            store,
            components,
            broker,
            apps,
        }
    }

    /// The state store `name`, if it exists and `app` may use it.
    pub(crate) fn store<'a>(&'a self, name: &'a str, app: &'a AppId) -> Result<StateStore<'a>, ApiError> {
        let components = self.components.load();
        let stores = &components.state;
        if stores.is_empty() {
            let message = "no state store is configured; add a component of type state.sqlite";
            return Err(ApiError::new(
                500,
                "ERR_STATE_STORE_NOT_CONFIGURED",
                message,
            ));
        }
        let component = find(stores, name, app).ok_or_else(|| {
            let message = format!("state store {name:?} is not found");
            ApiError::new(400, "ERR_STATE_STORE_NOT_FOUND", message)
        })?;
        Ok(StateStore {
            block: self,
            name,
            outbox: component.it.outbox.clone(),
            app,
            prefix: component.it.prefix.of(name, app),
        })
    }

    /// Empties the stores that do not outlive the process.
    pub(crate) async fn clear_volatile(&self) -> Result<(), StoreError> {
        let components = self.components.load();
        let stores = components.state.values();
        let volatile: Vec<String> = stores
            .filter(|store| store.it.volatile)
            .map(|store| store.name.clone())
            .collect();
        let clear = move |conn: &rusqlite::Connection| {
            let mut stores = volatile.iter();
            stores.try_for_each(|store| table::clear(conn, store).map(drop))
        };
        self.store.write(clear).await
    }
}

impl StateStore<'_> {
    /// The value under `key`.
    pub(crate) fn get(&self, key: &str) -> Result<Option<Item>, ApiError> {
        let key = full_key(&self.prefix, key)?;
        let found = self
            .block
            .store
            .read(|conn| table::get(conn, self.name, &key, now_ms()));
        found.map_err(|error| store_error("ERR_STATE_GET", &error))
    }

    /// The values under `keys`, in their order.
    pub(crate) async fn bulk_get(&self, keys: &[String]) -> Result<Vec<Option<Item>>, ApiError> {
        if keys.len() > MAX_ITEMS {
            return Err(ApiError::malformed(format!(
                "more than {MAX_ITEMS} keys in one bulk get"
            )));
        }
        let full: Vec<String> = keys
            .iter()
            .map(|key| full_key(&self.prefix, key))
            .collect::<Result<_, _>>()?;
        let name = self.name.to_owned();
        let found = self.block.store.scan(move |conn| {
            let (now, mut bytes) = (now_ms(), 0);
            let mut items = Vec::new();
            for key in &full {
                let item = table::get(conn, &name, key, now)?;
                bytes += item.as_ref().map_or(0, |item| item.value.len());
                if bytes > MAX_ANSWER {
                    return Ok(None);
                }
                items.push(item);
            }
            Ok(Some(items))
        });
        let found = found.await;
        found
            .map_err(|error| store_error("ERR_STATE_BULK_GET", &error))?
            .ok_or_else(|| {
                let message =
                    format!("the values are longer than {MAX_ANSWER} bytes together; ask for fewer keys at a time");
                ApiError::new(413, "ERR_STATE_BULK_GET", message)
            })
    }

    /// Saves the items of a body; the call's metadata goes before their own. Up to [`SLICE`] of them are saved all or
    /// none. More are saved so many at a time, so that other apps' writes have their turn in between, and a failure
    /// ends it: what was saved before stays, as beside a sidecar. A mistake in any of them saves none.
    pub(crate) async fn save(&self, body: &[u8], metadata: &[(String, String)]) -> Result<(), ApiError> {
        const FAILED: &str = "ERR_STATE_SAVE";
        let read = |piece: &&[u8]| {
            let item: SaveItem = body::go(piece)?;
            item.change(&self.prefix, metadata, FAILED)
        };
        let pieces = body::go_pieces(body)?;
        if pieces.len() > SLICE {
            pieces.iter().try_for_each(|piece| read(piece).map(drop))?;
        }
        for slice in pieces.chunks(SLICE) {
            let changes = slice.iter().map(read).collect::<Result<Vec<_>, _>>()?;
            self.write(changes, FAILED).await?;
        }
        Ok(())
    }

    /// Deletes `key`, if it has the ETag `if_match` or none is given.
    pub(crate) async fn delete(
        &self,
        key: &str,
        options: &WriteOptions,
        if_match: Option<&str>,
    ) -> Result<(), ApiError> {
        let key = full_key(&self.prefix, key)?;
        is_first_write(
            &options.concurrency,
            &options.consistency,
            "ERR_STATE_DELETE",
        )?;
        let etag = etag(if_match);
        self.write(vec![Change::Delete { key, etag }], "ERR_STATE_DELETE")
            .await
    }

    /// The values that a query finds, under the app's own keys.
    pub(crate) async fn query(&self, query: Query) -> Result<Found, ApiError> {
        let (name, prefix) = (self.name.to_owned(), self.prefix.clone());
        let found = self
            .block
            .store
            .scan(move |conn| Ok(query::run(conn, &name, &prefix, &query, now_ms())));
        let mut found = match found.await {
            Ok(Ok(found)) => found,
            Ok(Err(query::QueryError::Malformed(message))) => return Err(ApiError::malformed(message)),
            Ok(Err(query::QueryError::Store(error))) | Err(error) => {
                return Err(store_error("ERR_STATE_QUERY", &error));
            }
        };
        for (key, _) in &mut found.rows {
            if let Some(own) = key.strip_prefix(&self.prefix) {
                *key = own.to_owned();
            }
        }
        Ok(found)
    }

    /// The app's own keys that begin with `prefix`, after the place that another page ended at.
    pub(crate) async fn keys(&self, prefix: &str, after: Option<i64>) -> Result<StateKeys, ApiError> {
        let (name, full) = (self.name.to_owned(), format!("{}{prefix}", self.prefix));
        let after = after.unwrap_or(i64::MIN);
        let found = self
            .block
            .store
            .scan(move |conn| table::keys(conn, &name, &full, after, now_ms()));
        let mut found = found
            .await
            .map_err(|error| store_error("ERR_STATE_LIST_KEYS", &error))?;
        for key in &mut found.keys {
            key.drain(..self.prefix.len().min(key.len()));
        }
        Ok(found)
    }

    fn quotas(&self) -> Quotas {
        self.block.apps.quotas_of(self.app)
    }

    async fn write(&self, changes: Vec<Change>, code: &'static str) -> Result<(), ApiError> {
        let (name, app, quotas) = (self.name.to_owned(), self.app.clone(), self.quotas());
        let rows = changes.len();
        let work = move |conn: &rusqlite::Connection| {
            let now = now_ms();
            let mut changes = changes.iter();
            table::metered(conn, &app, &quotas, || {
                changes.try_for_each(|change| table::apply(conn, &name, app.as_str(), change, now))
            })
        };
        match self.block.store.write_for(self.app, rows, work).await {
            Ok(()) => Ok(()),
            Err(error @ ChangeError::Mismatch(_)) => Err(ApiError::new(409, code, error.to_string())),
            Err(ChangeError::Store(error)) => Err(store_error(code, &error)),
        }
    }
}
