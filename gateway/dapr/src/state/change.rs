//! The changes of a call, validated.

use super::table::{Change, NO_ETAG};
use crate::{
    error::ApiError,
    key::full_key,
    protocol::{body::forms::SaveItem, metadata::expiry},
};

impl SaveItem {
    /// The change of the database that the item asks for; the query's metadata goes before its own.
    pub(super) fn change(
        self,
        prefix: &str,
        metadata: &[(String, String)],
        code: &'static str,
    ) -> Result<Change, ApiError> {
        let key = full_key(prefix, &self.key)?;
        let first_write = is_first_write(&self.options.concurrency, &self.options.consistency, code)?;
        let etag = etag(self.etag.as_deref());
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

/// Returns true if concurrency and consistency ask for first-write. A word that Dapr does not know is a failure of the
/// store, as it is beside a sidecar: 500.
pub(super) fn is_first_write(concurrency: &str, consistency: &str, code: &'static str) -> Result<bool, ApiError> {
    if !matches!(consistency, "" | "eventual" | "strong") {
        let message = format!("consistency {consistency:?} is neither eventual nor strong");
        return Err(ApiError::new(500, code, message));
    }
    match concurrency {
        "first-write" => Ok(true),
        "" | "last-write" => Ok(false),
        other => {
            let message = format!("concurrency {other:?} is neither first-write nor last-write");
            Err(ApiError::new(500, code, message))
        }
    }
}

/// Reads an ETag; an empty one is none. What this store never gave out is an ETag that no row has.
pub(super) fn etag(text: Option<&str>) -> Option<i64> {
    let text = text.filter(|text| !text.is_empty())?;
    let number = text.parse().ok();
    Some(
        number
            .filter(|number: &i64| number.to_string() == text)
            .unwrap_or(NO_ETAG),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_is_the_text_that_was_given_out_and_no_other() {
        assert_eq!((etag(None), etag(Some(""))), (None, None));
        assert_eq!(etag(Some("12")), Some(12));
        for other in ["012", "+12", " 12", "\"12\"", "twelve", "1e1"] {
            assert_eq!(etag(Some(other)), Some(NO_ETAG), "{other}");
        }
    }
}
