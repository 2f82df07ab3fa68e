//! The differences that there are to be, each with its reason.

use std::collections::BTreeMap;

use serde::Deserialize;
use wildmatch::WildMatch;

/// Those of the embedded runtime and of the gateway's client of a sidecar from a sidecar, and those of the SDK's
/// stand-in from the embedded runtime.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Known {
    pub(super) embedded: Vec<Row>,
    pub(super) relayed: Vec<Row>,
    pub(super) stand_in: Vec<Row>,
}

/// A difference: a row of the table in `README.md`, and the calls that show it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    pub(super) what: String,
    pub(super) sidecar: String,
    pub(super) here: String,
    pub(super) why: String,
    /// Names of calls, `*` for any text, with the fields that differ; each has to.
    calls: BTreeMap<String, Vec<String>>,
}

impl Known {
    pub(super) fn read() -> Self {
        let text = std::fs::read_to_string(super::case::folder().join("known.yaml")).unwrap();
        serde_norway::from_str(&text).unwrap()
    }
}

impl Row {
    pub(super) fn covers(&self, name: &str) -> bool {
        self.calls
            .keys()
            .any(|call| WildMatch::new(call).matches(name))
    }

    /// The fields in which the call has to differ, in their order.
    pub(super) fn fields(&self, name: &str) -> &[String] {
        let mut calls = self.calls.iter();
        calls
            .find(|(call, _)| WildMatch::new(call).matches(name))
            .map_or(&[], |(_, fields)| fields)
    }
}
