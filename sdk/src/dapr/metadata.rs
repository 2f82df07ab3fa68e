//! Names and values that go along with a call, for the component.

use std::{borrow::Cow, time::Duration};

use serde::{Serialize, Serializer};

/// Component metadata, in the order given.
#[derive(Clone, Debug, Default)]
pub(super) struct Metadata(Vec<(Cow<'static, str>, String)>);

impl Metadata {
    pub(super) const fn new() -> Self {
        Metadata(Vec::new())
    }

    /// Sets a name's value, in place of any it had.
    pub(super) fn set(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) {
        let name = name.into();
        self.0.retain(|(key, _)| *key != name);
        self.0.push((name, value.into()));
    }

    /// Sets `ttlInSeconds`: whole seconds, rounded up, so that nothing expires early.
    pub(super) fn set_ttl(&mut self, ttl: Duration) {
        self.set("ttlInSeconds", whole_seconds(ttl).to_string());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_ref(), value.as_str()))
    }
}

impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

/// Whole seconds, rounded up, at least one.
pub(super) fn whole_seconds(duration: Duration) -> u64 {
    let more = u64::from(duration.subsec_nanos() > 0);
    duration.as_secs().saturating_add(more).max(1)
}
