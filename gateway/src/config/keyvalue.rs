//! A package's `keyvalue`: the buckets of `wasi:keyvalue` that its guests may open, and their state stores.

use std::collections::BTreeMap;

use wasmgate_common::{Code, Diagnostic};
use wasmgate_dapr::{Glob, Globs, Grants};

use super::reader::Section;

/// The buckets that a package may open; none is as good as no grant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeyValue {
    buckets: BTreeMap<String, Bucket>,
    grants: Option<Grants>,
}

/// A bucket: the package's part of a state store, or what in it begins with a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// The state store, a component of Dapr's.
    pub store: String,
    /// The beginning of all keys of the bucket in that store, which the guest does not see; with a slash at its end,
    /// unless it is empty.
    pub prefix: String,
}

impl KeyValue {
    /// Returns whether no bucket may be opened.
    pub fn is_none(&self) -> bool {
        self.grants.is_none()
    }

    /// The bucket of this name.
    pub fn bucket(&self, name: &str) -> Option<&Bucket> {
        self.buckets.get(name)
    }

    /// Every bucket by its name.
    pub fn buckets(&self) -> impl Iterator<Item = (&str, &Bucket)> {
        self.buckets
            .iter()
            .map(|(name, bucket)| (name.as_str(), bucket))
    }

    /// The grants by which the building blocks let the buckets be used, which are not the package's own: what it may
    /// ask of the Dapr API is in its `dapr` table. None without a bucket.
    pub fn grants(&self) -> Option<&Grants> {
        self.grants.as_ref()
    }
}

/// Reads a package's buckets.
pub(super) fn read(package: &Section<'_>) -> KeyValue {
    let mut buckets = BTreeMap::new();
    for (name, value) in package.named("keyvalue") {
        let Some(value) = value.text("statestore") else {
            continue;
        };
        if let Some(bucket) = value.parsed(bucket) {
            buckets.insert(name.value.to_owned(), bucket);
        }
    }
    // A name that is no glob was refused above.
    let globs = buckets
        .values()
        .filter_map(|bucket| Glob::parse(&bucket.store).ok());
    let state: Globs = globs.collect();
    let grants = (!state.is_empty()).then(|| Grants {
        state,
        ..Grants::none()
    });
    KeyValue { buckets, grants }
}

fn bucket(text: &str) -> Result<Bucket, Diagnostic> {
    let (store, prefix) = text.split_once('/').unwrap_or((text, ""));
    let is_plain = |name: &str| !name.contains(|c: char| c.is_whitespace() || c.is_control() || "*?".contains(c));
    let is_prefix = !text.contains('/') || (!prefix.trim_matches('/').is_empty() && !prefix.contains("||"));
    if store.is_empty() || !is_plain(store) || !is_prefix || prefix.contains(char::is_control) {
        return Err(Diagnostic::new(
            Code::InvalidValue,
            format!("{text:?} is no bucket"),
            "write the name of a state store, \"statestore\", or with a word before all keys, \"statestore/users\"",
        ));
    }
    let prefix = match prefix.trim_end_matches('/') {
        "" => String::new(),
        prefix => format!("{prefix}/"),
    };
    Ok(Bucket {
        store: store.to_owned(),
        prefix,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_a_store_or_a_part_of_one() {
        for (text, store, prefix) in [
            ("statestore", "statestore", ""),
            ("statestore/users", "statestore", "users/"),
            ("statestore/users/", "statestore", "users/"),
            ("s/a/b", "s", "a/b/"),
        ] {
            let read = bucket(text).unwrap();
            assert_eq!((read.store.as_str(), read.prefix.as_str()), (store, prefix));
        }
        for wrong in [
            "",
            "/users",
            "state*",
            "a b",
            "statestore/",
            "statestore//",
            "s/a||b",
            "s/\n",
        ] {
            assert!(bucket(wrong).is_err(), "{wrong}");
        }
    }
}
