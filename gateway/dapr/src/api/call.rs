//! One call on its way through the API, and what the operations share.

use std::sync::Arc;

use http::request::Parts;
use wasmgate_common::{TraceParent, is_traceparent};

use crate::{
    app::AppId,
    error::ApiError,
    grants::Grants,
    protocol::message::{pairs, queries},
    runtime::Runtime,
};

/// The longest key: far above what an app needs, and below what an index copes with badly.
const MAX_KEY: usize = 1024;

pub(crate) struct Call<'a> {
    pub(crate) runtime: &'a Arc<Runtime>,
    pub(crate) caller: &'a AppId,
    pub(crate) grants: &'a Grants,
    pub(crate) parts: &'a Parts,
}

impl Call<'_> {
    /// The values of query parameter `name`, decoded.
    pub(crate) fn queries(&self, name: &str) -> Vec<String> {
        queries(self.parts, name)
    }

    /// The query's `metadata.<key>=<value>` pairs, without that prefix.
    pub(crate) fn metadata(&self) -> Vec<(String, String)> {
        pairs(self.parts)
            .filter_map(|(key, value)| Some((key.strip_prefix("metadata.")?.to_owned(), value)))
            .collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    }

    /// The caller's trace as `traceparent` and `tracestate`, or a new one where it has none that is well-formed.
    pub(crate) fn trace(&self) -> (String, &str) {
        let given = self.header("traceparent");
        match given.filter(|given| is_traceparent(given.as_bytes())) {
            Some(given) => (
                given.to_owned(),
                self.header("tracestate").unwrap_or_default(),
            ),
            None => (TraceParent::random().as_str().to_owned(), ""),
        }
    }
}

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
