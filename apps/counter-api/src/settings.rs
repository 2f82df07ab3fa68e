//! Settings from the package's `env`.

use std::{env, time::Duration};

use wasmgate_sdk::Error;

/// The stations' time for an order unless `ORDER_TIMEOUT` says otherwise.
const ORDER_TIMEOUT: Duration = Duration::from_secs(30);

/// Reads the stations' time for an order: `ORDER_TIMEOUT`, such as `30s` or `1m 30s`.
pub(crate) fn order_timeout() -> Result<Duration, Error> {
    let Ok(text) = env::var("ORDER_TIMEOUT") else {
        return Ok(ORDER_TIMEOUT);
    };
    humantime::parse_duration(&text).map_err(|error| {
        Error::internal(format!(
            "ORDER_TIMEOUT = {text:?}: {error}; write a duration such as \"30s\""
        ))
    })
}
