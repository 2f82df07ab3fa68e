//! Records what keys and types the readers look for: the schema of a configuration.

use std::{collections::BTreeMap, ops::RangeInclusive};

/// Every key that was looked for, by its full name.
pub(crate) type Shape = BTreeMap<String, Kind>;

/// What a key's value is to be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// A text, such as this one.
    Text(String),
    /// True or false.
    Flag,
    /// A whole number in a range.
    Count(RangeInclusive<usize>),
    /// A list of texts.
    Texts,
    /// A table with these keys.
    Table(Vec<String>),
    /// A list of such tables.
    Tables(Vec<String>),
    /// A table whose keys are names.
    Named,
}

impl Kind {
    /// A table with these keys.
    pub(super) fn table(known: &[&str]) -> Self {
        Self::Table(known.iter().map(|key| (*key).to_owned()).collect())
    }

    /// A list of what this is one of.
    pub(super) fn listed(self) -> Self {
        match self {
            Self::Table(known) => Self::Tables(known),
            other => other,
        }
    }
}
