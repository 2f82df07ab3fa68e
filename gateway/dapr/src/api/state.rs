//! State: get, save, delete and bulk get.

use axum::body::Body;
use http::HeaderValue;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    call::{Call, full_key},
    change::{etag, is_first_write},
};
use crate::{
    components::{Component, KeyedStore, find},
    error::{ApiError, ApiResult},
    protocol::{
        body::{
            self,
            forms::{BulkGet, SaveItem},
        },
        message::{bytes, header_value, json_answer, no_content},
    },
    store::{
        state::{self, Change, ChangeError, Item},
        store_error,
    },
    time::{now_ms, rfc3339},
};

/// Keys of one bulk get, and operations of one transaction, at most: one call must not hold the
/// database for long.
pub(super) const MAX_ITEMS: usize = 10_000;

/// The state store, if it exists and the caller may use it.
pub(crate) fn store<'a>(call: &'a Call<'_>, name: &str) -> Result<&'a Component<KeyedStore>, ApiError> {
    let stores = &call.runtime.components.state;
    if stores.is_empty() {
        let message = "no state store is configured; add a component of type state.sqlite";
        return Err(ApiError::new(
            500,
            "ERR_STATE_STORE_NOT_CONFIGURED",
            message,
        ));
    }
    find(stores, name, call.caller).ok_or_else(|| {
        let message = format!("state store {name:?} is not found");
        ApiError::new(400, "ERR_STATE_STORE_NOT_FOUND", message)
    })
}

pub(crate) fn get(call: &Call<'_>, name: &str, key: &str) -> ApiResult {
    let store = store(call, name)?;
    let key = full_key(&store.it.prefix.of(name, call.caller), key)?;
    let found = call
        .runtime
        .store
        .read(|conn| state::get(conn, name, &key, now_ms()));
    let Some(item) = found.map_err(|error| store_error("ERR_STATE_GET", &error))? else {
        return no_content();
    };
    let mut response = json_answer(item.value)?;
    let headers = response.headers_mut();
    headers.insert(http::header::ETAG, HeaderValue::from(item.etag));
    if let Some(value) = item.expires_at.and_then(|at| header_value(&rfc3339(at))) {
        headers.insert("metadata.ttlexpiretime", value);
    }
    Ok(response)
}

pub(crate) async fn save(call: &Call<'_>, body: Body, name: &str) -> ApiResult {
    let body = bytes(body).await?;
    let prefix = store(call, name)?.it.prefix.of(name, call.caller);
    let items: Vec<SaveItem> = body::go(&body)?;
    let metadata = call.metadata();
    let changes = items
        .into_iter()
        .map(|item| item.change(&prefix, &metadata, "ERR_STATE_SAVE"))
        .collect::<Result<Vec<_>, _>>()?;
    write(call, name, changes, "ERR_STATE_SAVE").await
}

pub(crate) async fn delete(call: &Call<'_>, name: &str, key: &str) -> ApiResult {
    let prefix = store(call, name)?.it.prefix.of(name, call.caller);
    let key = full_key(&prefix, key)?;
    let option = |name| call.queries(name).into_iter().next().unwrap_or_default();
    let (concurrency, consistency) = (option("concurrency"), option("consistency"));
    is_first_write(&concurrency, &consistency, "ERR_STATE_DELETE")?;
    let etag = etag(call.header("if-match"));
    write(
        call,
        name,
        vec![Change::Delete { key, etag }],
        "ERR_STATE_DELETE",
    )
    .await
}

pub(crate) async fn bulk_get(call: &Call<'_>, body: Body, name: &str) -> ApiResult {
    let body = bytes(body).await?;
    let prefix = store(call, name)?.it.prefix.of(name, call.caller);
    let BulkGet { keys, .. } = body::go(&body)?;
    if keys.len() > MAX_ITEMS {
        return Err(ApiError::malformed(format!(
            "more than {MAX_ITEMS} keys in one bulk get"
        )));
    }
    let full: Vec<String> = keys
        .iter()
        .map(|key| full_key(&prefix, key))
        .collect::<Result<_, _>>()?;
    let table = name.to_owned();
    let found = call.runtime.store.scan(move |conn| {
        let now = now_ms();
        full.iter()
            .map(|key| state::get(conn, &table, key, now))
            .collect::<Result<Vec<_>, _>>()
    });
    let found = found
        .await
        .map_err(|error| store_error("ERR_STATE_BULK_GET", &error))?;
    let entries = keys
        .iter()
        .zip(&found)
        .map(|(key, item)| Entry::new(key, item.as_ref()));
    let entries = entries.collect::<Result<Vec<_>, _>>();
    let answer = entries.and_then(|entries| serde_json::to_vec(&entries));
    json_answer(answer.map_err(|error| not_json("ERR_STATE_BULK_GET", &error))?)
}

/// An item as bulk reads and queries answer it; the key alone where there is none.
#[derive(Serialize)]
pub(super) struct Entry<'a> {
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Expiry>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Expiry {
    ttl_expire_time: String,
}

impl<'a> Entry<'a> {
    fn new(key: &'a str, item: Option<&'a Item>) -> serde_json::Result<Self> {
        let Some(item) = item else {
            return Ok(Self {
                key,
                data: None,
                etag: None,
                metadata: None,
            });
        };
        let entry = Self::of_query(key, item)?;
        let metadata = item.expires_at.map(|at| Expiry {
            ttl_expire_time: rfc3339(at),
        });
        Ok(Self { metadata, ..entry })
    }

    /// A query tells no metadata.
    pub(super) fn of_query(key: &'a str, item: &'a Item) -> serde_json::Result<Self> {
        Ok(Self {
            key,
            data: Some(serde_json::from_str(&item.value)?),
            etag: Some(item.etag.to_string()),
            metadata: None,
        })
    }
}

/// The answer where a value that is kept as JSON is none, which another program must have written.
pub(super) fn not_json(code: &'static str, error: &serde_json::Error) -> ApiError {
    ApiError::new(
        500,
        code,
        format!("a value in the store is no JSON: {error}"),
    )
}

async fn write(call: &Call<'_>, name: &str, changes: Vec<Change>, code: &'static str) -> ApiResult {
    let store = name.to_owned();
    let outcome = call.runtime.store.write(move |conn| {
        let now = now_ms();
        changes
            .iter()
            .try_for_each(|change| state::apply(conn, &store, change, now))
    });
    match outcome.await {
        Ok(()) => no_content(),
        Err(error @ ChangeError::Mismatch(_)) => Err(ApiError::new(409, code, error.to_string())),
        Err(ChangeError::Store(error)) => Err(store_error(code, &error)),
    }
}
