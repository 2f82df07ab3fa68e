//! Keys of state and locks, as stored.

use crate::error::ApiError;

/// The longest key, in bytes: far above what an app needs, and below what an index copes with badly.
const MAX_KEY: usize = 1024;

/// Checks a key and puts the store's prefix before it.
pub(crate) fn full_key(prefix: &str, key: &str) -> Result<String, ApiError> {
    if key.is_empty() {
        return Err(ApiError::malformed("the key is empty; give one"));
    }
    if key.contains("||") {
        return Err(ApiError::malformed(format!(
            "key {key:?} may not contain '||'"
        )));
    }
    if key.len() > MAX_KEY {
        return Err(ApiError::malformed(format!(
            "the key is longer than {MAX_KEY} bytes"
        )));
    }
    Ok(format!("{prefix}{key}"))
}
