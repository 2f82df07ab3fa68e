//! One call of the API, and what the operations share.

use http::request::Parts;

use super::Api;
use crate::{
    app::AppId,
    grants::Grants,
    protocol::{
        message::{pairs, queries},
        trace::Trace,
    },
};

pub(crate) struct Call<'a> {
    pub(crate) api: &'a Api,
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

    /// The caller's trace.
    pub(crate) fn trace(&self) -> Trace<'_> {
        Trace::from_headers(&self.parts.headers)
    }
}
