//! State.

use axum::body::Body;
use http::HeaderValue;
use serde::Serialize;
use serde_json::value::RawValue;

use super::call::Call;
use crate::{
    error::{ApiError, ApiResult},
    protocol::{
        body::{
            self,
            forms::{BulkGet, Options, Transaction},
        },
        message::{bytes, header_value, json_answer, no_content},
    },
    state::{Item, Query},
    time::rfc3339,
};

pub(super) fn get(call: &Call<'_>, name: &str, key: &str) -> ApiResult {
    let Some(item) = call.api.state.store(name, call.caller)?.get(key)? else {
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

pub(super) async fn save(call: &Call<'_>, body: Body, name: &str) -> ApiResult {
    let body = bytes(body).await?;
    let store = call.api.state.store(name, call.caller)?;
    store.save(&body, &call.metadata()).await?;
    no_content()
}

pub(super) async fn delete(call: &Call<'_>, name: &str, key: &str) -> ApiResult {
    let option = |name| call.queries(name).into_iter().next().unwrap_or_default();
    let options = Options {
        concurrency: option("concurrency"),
        consistency: option("consistency"),
    };
    let store = call.api.state.store(name, call.caller)?;
    store.delete(key, &options, call.header("if-match")).await?;
    no_content()
}

pub(super) async fn bulk_get(call: &Call<'_>, body: Body, name: &str) -> ApiResult {
    let body = bytes(body).await?;
    let store = call.api.state.store(name, call.caller)?;
    let BulkGet { keys, .. } = body::go(&body)?;
    let found = store.bulk_get(&keys).await?;
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
struct Entry<'a> {
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
        let entry = Self::from_query(key, item)?;
        let metadata = item.expires_at.map(|at| Expiry {
            ttl_expire_time: rfc3339(at),
        });
        Ok(Self { metadata, ..entry })
    }

    /// A query tells no metadata.
    fn from_query(key: &'a str, item: &'a Item) -> serde_json::Result<Self> {
        Ok(Self {
            key,
            data: Some(serde_json::from_str(&item.value)?),
            etag: Some(item.etag.to_string()),
            metadata: None,
        })
    }
}

/// The answer to a query.
#[derive(Serialize)]
struct Page<'a> {
    results: Vec<Entry<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

/// The answer where a value that is kept as JSON is none, which another program must have written.
fn not_json(code: &'static str, error: &serde_json::Error) -> ApiError {
    ApiError::new(
        500,
        code,
        format!("a value in the store is no JSON: {error}"),
    )
}

pub(super) async fn transact(call: &Call<'_>, body: Body, name: &str) -> ApiResult {
    let body = bytes(body).await?;
    let store = call.api.state.store(name, call.caller)?;
    let transaction: Transaction = body::go(&body)?;
    store
        .transact(transaction, &call.metadata(), call.trace())
        .await?;
    no_content()
}

pub(super) async fn query(call: &Call<'_>, body: Body, name: &str) -> ApiResult {
    let body = bytes(body).await?;
    let store = call.api.state.store(name, call.caller)?;
    let query: Query = body::go(body::query(&body)?)?;
    let found = store.query(query).await?;
    if found.rows.is_empty() {
        return no_content();
    }
    let entries = found
        .rows
        .iter()
        .map(|(key, item)| Entry::from_query(key, item));
    let entries = entries.collect::<Result<Vec<_>, _>>();
    let answer = entries.and_then(|results| {
        serde_json::to_vec(&Page {
            results,
            token: found.token.map(|token| token.to_string()),
        })
    });
    json_answer(answer.map_err(|error| not_json("ERR_STATE_QUERY", &error))?)
}
