//! `wasi:keyvalue/batch`: many keys at a time.

use std::collections::{HashMap, HashSet};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;
use serde_json::value::RawValue;
use wasmtime::component::{ComponentType, LinkerInstance, Lower};

use super::{
    Error,
    bucket::{Bucket, Version},
    value::decode,
};
use crate::{instance::HostState, interfaces::handle::on_handle};

/// Keys that are deleted at a time: Dapr's API deletes each by a call of its own.
const DELETED_AT_ONCE: usize = 16;

/// The form in which a version of the interface has what is under one of many keys.
pub(super) trait Found: ComponentType + Lower + Send + Sync + 'static {
    /// The form of a key and what is under it.
    fn of(key: String, value: Option<Vec<u8>>) -> Self;
}

/// As 0.2.0-draft has it, and 0.2.0-draft2 had it at first.
pub(super) type OnlyFound = Option<(String, Vec<u8>)>;

/// As 0.2.0-draft2 has it.
pub(super) type EachKey = (String, Option<Vec<u8>>);

impl Found for OnlyFound {
    fn of(key: String, value: Option<Vec<u8>>) -> Self {
        value.map(|value| (key, value))
    }
}

impl Found for EachKey {
    fn of(key: String, value: Option<Vec<u8>>) -> Self {
        (key, value)
    }
}

/// Puts the interface into a linker.
///
/// # Errors
/// When the linker does not take it.
pub(super) fn link<T: Found>(linker: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    on_handle(
        linker,
        "get-many",
        |bucket: Bucket, (keys,): (Vec<String>,)| async move { get_many::<T>(&bucket, keys).await },
    )?;
    on_handle(
        linker,
        "set-many",
        |bucket: Bucket, (items,): (Vec<(String, Vec<u8>)>,)| async move { set_many(&bucket, items).await },
    )?;
    on_handle(
        linker,
        "delete-many",
        |bucket: Bucket, (keys,): (Vec<String>,)| async move {
            // A mistake in any of them deletes none.
            keys.iter().try_for_each(|key| bucket.key(key).map(drop))?;
            let bucket = &bucket;
            let deleting = stream::iter(keys).map(Ok);
            deleting
                .try_for_each_concurrent(
                    DELETED_AT_ONCE,
                    |key| async move { bucket.delete(&key).await },
                )
                .await
        },
    )
}

/// An item of the answer to `POST /v1.0/state/{store}/bulk`.
#[derive(Deserialize)]
struct Entry<'a> {
    key: String,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<String>,
}

async fn get_many<T: Found>(bucket: &Bucket, keys: Vec<String>) -> Result<Vec<T>, Error> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let asked: HashSet<_> = keys
        .iter()
        .map(|key| bucket.key(key))
        .collect::<Result<_, _>>()?;
    let body = serde_json::to_vec(&serde_json::json!({ "keys": asked })).map_err(Error::other)?;
    let (answer, _while_it_is_read) = bucket.post("/bulk", body).await?;
    let entries: Vec<Entry<'_>> = match answer.as_slice() {
        [] => Vec::new(),
        answer => serde_json::from_slice(answer).map_err(Error::other)?,
    };
    let mut found = HashMap::new();
    for Entry { key, data, error } in &entries {
        if let Some(error) = error.as_ref().filter(|error| !error.is_empty()) {
            return Err(Error::Other(format!("{:?}: {error}", bucket.own_key(key))));
        }
        found.extend(data.map(|data| (bucket.own_key(key), data.get())));
    }
    // A key may be asked for more than once: each of its values counts.
    let mut charges = Vec::new();
    let each = keys.into_iter().map(|key| {
        let json = found.get(key.as_str());
        charges.push(bucket.charge(json.map_or(0, |json| json.len()))?);
        let value = json.map(|json| decode(json.as_bytes()));
        Ok(T::of(key, value))
    });
    each.collect()
}

async fn set_many(bucket: &Bucket, items: Vec<(String, Vec<u8>)>) -> Result<(), Error> {
    if items.is_empty() {
        return Ok(());
    }
    let bytes: usize = items
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    let _while_they_are_written = bucket.charge(bytes.saturating_mul(super::bucket::OF_A_WRITE))?;
    let items = items
        .iter()
        .map(|(key, value)| bucket.item(key, value, Version::Any));
    let items = items.collect::<Result<Vec<_>, _>>()?;
    bucket.save(&items).await.map(drop)
}
