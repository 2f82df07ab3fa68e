//! The sidecar's responses as a package sees them: with its own names, and only what it is granted.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::{bodies::write, names::Names};
use crate::{
    error::ApiError,
    grants::Grants,
    protocol::{message::json, operation::Operation as Op},
};

/// A JSON object whose members are left as they are written.
pub(super) type Object = BTreeMap<String, Box<RawValue>>;

/// Returns whether the answer to `operation` is read and written anew.
pub(super) fn are_read(operation: &Op, names: &Names<'_>) -> bool {
    match operation {
        Op::BulkGetState { .. } | Op::GetJob { .. } | Op::SubscribeConfiguration { .. } => names.are_shared(),
        Op::BulkSecrets { .. } | Op::GetConfiguration { .. } => true,
        _ => false,
    }
}

/// The answer for the caller.
pub(super) fn answer(operation: &Op, names: &Names<'_>, grants: &Grants, body: &[u8]) -> Result<Vec<u8>, ApiError> {
    if body.is_empty() {
        return Ok(Vec::new());
    }
    match operation {
        Op::BulkGetState { .. } => {
            let mut items: Vec<Object> = read(body)?;
            items.retain_mut(|item| restore(item, names));
            write(&items)
        }
        Op::GetJob { name } => {
            let mut job: Object = read(body)?;
            if let Some(named) = job.get_mut("name") {
                *named = raw(name)?;
            }
            write(&job)
        }
        Op::BulkSecrets { store } => {
            let mut secrets: Object = read(body)?;
            secrets.retain(|key, _| grants.allows_secret(store, key));
            write(&secrets)
        }
        Op::GetConfiguration { store, .. } => {
            let mut items: Object = read(body)?;
            items.retain(|key, _| grants.allows_configuration(store, key));
            match items.is_empty() {
                true => Ok(Vec::new()),
                false => write(&items),
            }
        }
        _ => Ok(body.to_vec()),
    }
}

/// Reads what the sidecar wrote.
pub(super) fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    json(body).map_err(|_| {
        let message = "the Dapr sidecar's answer is not as its API says";
        ApiError::new(502, "ERR_SIDECAR_ANSWER", message)
    })
}

/// Takes the app-id off `key`; false if it is not the app's.
pub(super) fn restore(item: &mut Object, names: &Names<'_>) -> bool {
    let Some(key) = item.get_mut("key") else {
        return false;
    };
    let Ok(full) = serde_json::from_str::<String>(key.get()) else {
        return false;
    };
    match names.own_key(&full).and_then(|own| raw(own).ok()) {
        Some(own) => {
            *key = own;
            true
        }
        None => false,
    }
}

fn raw<T: serde::Serialize + ?Sized>(value: &T) -> Result<Box<RawValue>, ApiError> {
    serde_json::value::to_raw_value(value).map_err(|error| ApiError::malformed(error.to_string()))
}
