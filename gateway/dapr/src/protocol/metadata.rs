//! Metadata values, parsed as the sidecar does it.

use crate::{error::ApiError, time::now_ms};

/// The time at which something of `ttl` seconds expires, in milliseconds since 1970; none if that is zero, -1 or empty.
pub(crate) fn expiry(ttl: &str, code: &'static str) -> Result<Option<i64>, ApiError> {
    if ttl.is_empty() {
        return Ok(None);
    }
    let seconds = ttl.parse::<i32>().ok().filter(|seconds| *seconds >= -1);
    let seconds = seconds.ok_or_else(|| {
        let message = format!(
            "ttlInSeconds {ttl:?} is no whole number of seconds from -1 to {}",
            i32::MAX
        );
        ApiError::new(500, code, message)
    })?;
    Ok((seconds > 0).then(|| now_ms().saturating_add(i64::from(seconds) * 1000)))
}

/// Reads a flag as Go does; absent it is not set.
pub(crate) fn flag(text: Option<&str>) -> Result<bool, String> {
    match text {
        None | Some("0" | "f" | "F" | "false" | "False" | "FALSE") => Ok(false),
        Some("1" | "t" | "T" | "true" | "True" | "TRUE") => Ok(true),
        Some(other) => Err(format!("{other:?} is neither true nor false")),
    }
}
