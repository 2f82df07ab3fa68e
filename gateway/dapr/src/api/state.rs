//! State: get, save, delete, bulk get and transactions.

use std::collections::HashMap;

use http::HeaderValue;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::call::{Call, bytes, full_key, json, json_answer, no_content, or_default, store_error};
use crate::{
    components::{Component, KeyedStore, find},
    error::{ApiError, ApiResult},
    event::{self, Event, Publication},
    runtime::header_value,
    store::{
        StoreError, queue,
        state::{self, Change, ChangeError, Item},
    },
    time::{now_ms, rfc3339},
};
use axum::body::Body;

/// Keys of one bulk get, and operations of one transaction, at most: one call must not hold the
/// database for long.
const MAX_ITEMS: usize = 10_000;

/// The state store, if it exists and the caller may use it.
pub(crate) fn store<'a>(
    call: &'a Call<'_>,
    name: &str,
) -> Result<&'a Component<KeyedStore>, ApiError> {
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
    let items: Vec<SaveItem> = json(&body)?;
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
    let etag = etag(call.header("if-match"), "ERR_STATE_DELETE")?;
    write(
        call,
        name,
        vec![Change::Delete { key, etag }],
        "ERR_STATE_DELETE",
    )
    .await
}

pub(crate) async fn bulk_get(call: &Call<'_>, body: Body, name: &str) -> ApiResult {
    #[derive(Deserialize)]
    struct Bulk {
        keys: Vec<String>,
    }
    let body = bytes(body).await?;
    let prefix = store(call, name)?.it.prefix.of(name, call.caller);
    let Bulk { keys } = json(&body)?;
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
        .map(|(key, item)| bulk_entry(key, item.as_ref()));
    json_answer(format!("[{}]", entries.collect::<Vec<_>>().join(",")))
}

fn bulk_entry(key: &str, item: Option<&Item>) -> String {
    let key = serde_json::Value::from(key);
    match item {
        None => format!("{{\"key\":{key}}}"),
        Some(item) => {
            let expiry = item
                .expires_at
                .map(|at| format!(",\"metadata\":{{\"ttlExpireTime\":\"{}\"}}", rfc3339(at)));
            let (data, etag, expiry) = (&item.value, item.etag, expiry.unwrap_or_default());
            format!("{{\"key\":{key},\"data\":{data},\"etag\":\"{etag}\"{expiry}}}")
        }
    }
}

pub(crate) async fn transact(call: &Call<'_>, body: Body, name: &str) -> ApiResult {
    let body = bytes(body).await?;
    let component = store(call, name)?;
    let (prefix, outbox) = (
        component.it.prefix.of(name, call.caller),
        component.it.outbox.clone(),
    );
    let transaction: Transaction = json(&body)?;
    if transaction.operations.len() > MAX_ITEMS {
        return Err(ApiError::malformed(format!(
            "more than {MAX_ITEMS} operations"
        )));
    }
    let (query, common) = (call.metadata(), transaction.metadata);
    let (mut changes, mut events) = (Vec::new(), Vec::new());
    for operation in transaction.operations {
        let SaveItem { key, .. } = &operation.request;
        if let Some(outbox) = &outbox {
            let data = operation
                .request
                .value
                .as_deref()
                .map_or("null", RawValue::get);
            let event = outbox_event(call, outbox, key, data, &operation.operation)?;
            events.push(event);
        }
        let change = match operation.operation.as_str() {
            "upsert" => {
                let mut item = operation.request;
                for (name, value) in &common {
                    item.metadata
                        .entry(name.clone())
                        .or_insert_with(|| value.clone());
                }
                item.change(&prefix, &query, "ERR_STATE_TRANSACTION")?
            }
            "delete" => Change::Delete {
                key: full_key(&prefix, key)?,
                etag: etag(operation.request.etag.as_deref(), "ERR_STATE_TRANSACTION")?,
            },
            other => {
                let message = format!("there is no operation {other:?}; write upsert or delete");
                return Err(ApiError::new(
                    400,
                    "ERR_NOT_SUPPORTED_STATE_OPERATION",
                    message,
                ));
            }
        };
        changes.push(change);
    }
    commit(call, name, changes, events).await
}

/// The event that a transaction's change is published as.
fn outbox_event(
    call: &Call<'_>,
    outbox: &crate::components::Outbox,
    key: &str,
    data: &str,
    operation: &str,
) -> Result<Event, ApiError> {
    let (traceparent, operation) = (call.traceparent(), format!("outbox.{operation}"));
    let publication = Publication {
        source: call.caller.as_str(),
        pubsub: &outbox.pubsub,
        topic: &outbox.topic,
        content_type: "application/json",
        traceparent: &traceparent,
        tracestate: call.header("tracestate").unwrap_or_default(),
        overrides: vec![("subject", key), ("operation", &operation)],
    };
    let envelope = event::wrap(&publication, data.as_bytes())
        .map_err(|error| ApiError::new(400, "ERR_STATE_TRANSACTION", error.to_string()))?;
    Ok(Event {
        pubsub: outbox.pubsub.clone(),
        topic: outbox.topic.clone(),
        data: envelope.to_string().into(),
        content_type: event::CLOUD_EVENTS.to_owned(),
        raw: false,
        tracestate: call.header("tracestate").map(str::to_owned),
        traceparent: Some(traceparent),
        expires_at: None,
    })
}

/// Changes and events together: all of it or nothing.
async fn commit(
    call: &Call<'_>,
    name: &str,
    changes: Vec<Change>,
    events: Vec<Event>,
) -> ApiResult {
    let store = name.to_owned();
    let broker = &call.runtime.broker;
    let topics: Vec<_> = events
        .iter()
        .map(|event| (event.pubsub.clone(), event.topic.clone()))
        .collect();
    let events: Vec<_> = events
        .into_iter()
        .map(|event| {
            let apps = broker.subscribers(&event.pubsub, &event.topic);
            (event, apps)
        })
        .collect();
    let outcome = call.runtime.store.write(move |conn| {
        let now = now_ms();
        changes
            .iter()
            .try_for_each(|change| state::apply(conn, &store, change, now))?;
        for (event, apps) in &events {
            queue::push(conn, event, apps.iter().map(crate::app::AppId::as_str), now)?;
        }
        Ok::<_, ChangeError>(())
    });
    match outcome.await {
        Ok(()) => {
            for (pubsub, topic) in topics {
                broker.wake(&pubsub, &topic);
            }
            no_content()
        }
        Err(error @ ChangeError::Mismatch(_)) => Err(ApiError::new(
            500,
            "ERR_STATE_TRANSACTION",
            error.to_string(),
        )),
        Err(ChangeError::Store(error)) => Err(store_error("ERR_STATE_TRANSACTION", &error)),
    }
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

#[derive(Deserialize)]
struct Transaction {
    operations: Vec<Operation>,
    #[serde(default, deserialize_with = "or_default")]
    metadata: HashMap<String, String>,
}

#[derive(Deserialize)]
struct Operation {
    operation: String,
    request: SaveItem,
}

#[derive(Deserialize)]
struct SaveItem {
    key: String,
    #[serde(default)]
    value: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "etag_text")]
    etag: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    metadata: HashMap<String, String>,
    #[serde(default, deserialize_with = "or_default")]
    options: Options,
}

#[derive(Default, Deserialize)]
struct Options {
    #[serde(default, deserialize_with = "or_default")]
    concurrency: String,
    #[serde(default, deserialize_with = "or_default")]
    consistency: String,
}

/// An ETag as text, or as `{"value": "…"}`, the protobuf form.
fn etag_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        Text(String),
        Message { value: String },
    }
    Ok(match Option::<Form>::deserialize(deserializer)? {
        Some(Form::Text(text) | Form::Message { value: text }) => Some(text),
        None => None,
    })
}

impl SaveItem {
    fn change(
        self,
        prefix: &str,
        metadata: &[(String, String)],
        code: &'static str,
    ) -> Result<Change, ApiError> {
        let key = full_key(prefix, &self.key)?;
        let first_write = match self.options.concurrency.as_str() {
            "first-write" => true,
            "" | "last-write" => false,
            other => {
                let message =
                    format!("concurrency {other:?} is neither first-write nor last-write");
                return Err(ApiError::new(400, code, message));
            }
        };
        if !matches!(
            self.options.consistency.as_str(),
            "" | "eventual" | "strong"
        ) {
            let message = "consistency is neither eventual nor strong";
            return Err(ApiError::new(400, code, message));
        }
        let etag = etag(self.etag.as_deref(), code)?;
        let ttl = metadata
            .iter()
            .find(|(name, _)| name == "ttlInSeconds")
            .map(|(_, value)| value.as_str())
            .or_else(|| self.metadata.get("ttlInSeconds").map(String::as_str));
        let expires_at = ttl.map(|ttl| expiry(ttl, code)).transpose()?.flatten();
        let value = self
            .value
            .map_or_else(|| "null".to_owned(), |value| value.get().to_owned());
        Ok(Change::Upsert {
            key,
            value,
            etag,
            first_write,
            expires_at,
        })
    }
}

/// When something of `ttl` seconds expires; never if that is not positive.
pub(crate) fn expiry(ttl: &str, code: &'static str) -> Result<Option<i64>, ApiError> {
    let seconds: i64 = ttl.trim().parse().map_err(|_| {
        ApiError::new(
            400,
            code,
            format!("ttlInSeconds {ttl:?} is no whole number of seconds"),
        )
    })?;
    Ok((seconds > 0).then(|| now_ms().saturating_add(seconds.saturating_mul(1000))))
}

/// Reads an ETag of ours; an empty one is none, quotes are taken off.
fn etag(text: Option<&str>, code: &'static str) -> Result<Option<i64>, ApiError> {
    let text = text.unwrap_or_default().trim().trim_matches('"');
    if text.is_empty() {
        return Ok(None);
    }
    let invalid = || ApiError::new(400, code, format!("{text:?} is no ETag of this store"));
    text.parse().map(Some).map_err(|_| invalid())
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        store_error("ERR_INTERNAL", &error)
    }
}
