//! What a call wants changed, as it is written and as it is checked.

use std::collections::HashMap;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::call::{full_key, or_default};
use crate::{error::ApiError, store::state::Change, time::now_ms};

/// One item of a save, or the request of a transaction's operation.
#[derive(Deserialize)]
pub(super) struct SaveItem {
    pub(super) key: String,
    #[serde(default)]
    pub(super) value: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "etag_text")]
    pub(super) etag: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) metadata: HashMap<String, String>,
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
    /// The change of the database that the item asks for; the query's metadata goes before its own.
    pub(super) fn change(
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
pub(super) fn expiry(ttl: &str, code: &'static str) -> Result<Option<i64>, ApiError> {
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
pub(super) fn etag(text: Option<&str>, code: &'static str) -> Result<Option<i64>, ApiError> {
    let text = text.unwrap_or_default().trim().trim_matches('"');
    if text.is_empty() {
        return Ok(None);
    }
    let invalid = || ApiError::new(400, code, format!("{text:?} is no ETag of this store"));
    text.parse().map(Some).map_err(|_| invalid())
}
