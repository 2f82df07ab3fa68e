//! A table, read key by key.

use std::{
    collections::BTreeMap,
    ops::{Range, RangeInclusive},
};

use toml::de::{DeTable, DeValue};
use wasmgate_common::{Code, Diagnostic};

use super::{
    item::Item,
    notes::{Notes, Spot, nearest},
    shape::Kind,
};

/// One table of the file.
pub(crate) struct Section<'a> {
    notes: &'a Notes<'a>,
    key: String,
    at: Range<usize>,
    table: &'a DeTable<'a>,
    /// Known keys that others seem to be meant for, which was told.
    misspelt: Vec<String>,
}

impl<'a> Section<'a> {
    /// The whole file.
    pub(crate) fn root(notes: &'a Notes<'a>, table: &'a DeTable<'a>, known: &[&str]) -> Self {
        let root = Self {
            notes,
            key: String::new(),
            at: 0..0,
            table,
            misspelt: Vec::new(),
        };
        notes.shape("", || Kind::table(known));
        root.without_unknown(known)
    }

    /// Returns whether the key is written, rightly or wrongly.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Returns whether the key is not written, and another one seems to be meant for it; that was told.
    pub(crate) fn is_misspelt(&self, key: &str) -> bool {
        !self.has(key) && self.misspelt.iter().any(|meant| meant == key)
    }

    /// Returns whether the key is written, and notes one that is missing, as `lacks` tells, with an example of its
    /// value.
    pub(crate) fn requires(&self, key: &str, lacks: &str, example: &str) -> bool {
        let is_there = self.has(key);
        if !is_there && !self.is_misspelt(key) {
            let help = format!("add {key} = {example}");
            self.refuse(Diagnostic::new(Code::MissingKey, lacks, help));
        }
        is_there
    }

    /// Notes a mistake of the table as a whole.
    pub(crate) fn refuse(&self, wrong: Diagnostic) {
        self.notes.add(Some(self.spot()), &self.key, wrong);
    }

    /// Notes a mistake of a key's value.
    pub(crate) fn refuse_key(&self, key: &str, wrong: Diagnostic) {
        if let Some(item) = self.get(key) {
            item.refuse(wrong);
        }
    }

    /// The name nearest to `wrong`, if one is near and not too many were looked for.
    pub(crate) fn nearest<'n>(&self, wrong: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
        self.notes.nearest(wrong, names)
    }

    /// The table's place.
    pub(crate) fn spot(&self) -> Spot {
        self.notes.spot(&self.at)
    }

    /// The place of the key's value, if it is written.
    pub(crate) fn spot_of(&self, key: &str) -> Option<Spot> {
        Some(self.get(key)?.spot())
    }

    /// The places of the values in these tables, by their full names.
    pub(crate) fn spots(&self, tables: &[&str]) -> BTreeMap<String, Spot> {
        let named = tables.iter().flat_map(|table| {
            let values = self
                .table
                .get(*table)
                .and_then(|value| value.get_ref().as_table());
            values.into_iter().flatten().map(move |(key, value)| {
                (
                    format!("{table}.{}", key.get_ref()),
                    self.notes.spot(&value.span()),
                )
            })
        });
        named.collect()
    }

    /// The full name of a key of this table.
    pub(crate) fn key_of(&self, key: &str) -> String {
        if self.key.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.key)
        }
    }

    /// A text, such as `example`.
    pub(crate) fn text(&self, key: &str, example: &str) -> Option<Item<'a, &'a str>> {
        self.get(key)?.text(example)
    }

    /// A text, such as `example`, with a meaning.
    pub(crate) fn parsed<T>(
        &self,
        key: &str,
        example: &str,
        parse: impl FnOnce(&str) -> Result<T, Diagnostic>,
    ) -> Option<T> {
        self.text(key, example)?.parsed(parse)
    }

    /// True or false.
    pub(crate) fn flag(&self, key: &str) -> Option<bool> {
        self.notes.shape(&self.key_of(key), || Kind::Flag);
        let item = self.get(key)?;
        let flag = item.value.as_bool();
        if flag.is_none() {
            item.refuse_type("true or false");
        }
        flag
    }

    /// A whole number in a range.
    pub(crate) fn count(&self, key: &str, range: RangeInclusive<usize>) -> Option<usize> {
        let shape = || Kind::Count(range.clone());
        self.notes.shape(&self.key_of(key), shape);
        let item = self.get(key)?;
        let Some(written) = item.value.as_integer() else {
            item.refuse_type(&format!("a number such as {}", range.end().min(&100)));
            return None;
        };
        // Signed and wide, so that whatever TOML can hold is compared and not mistaken.
        let number = i128::from_str_radix(written.as_str(), written.radix()).ok();
        let count = number
            .and_then(|n| usize::try_from(n).ok())
            .filter(|n| range.contains(n));
        if count.is_none() {
            item.refuse(Diagnostic::new(
                Code::OutOfRange,
                format!("{written} is out of range"),
                format!("write {} to {}", range.start(), range.end()),
            ));
        }
        count
    }

    /// A list of texts, such as `[example]`.
    pub(crate) fn texts(&self, key: &str, example: &str) -> Option<Vec<Item<'a, &'a str>>> {
        let item = self.get(key)?;
        let Some(values) = item.value.as_array() else {
            item.refuse_type(&format!("a list such as [{example:?}]"));
            return None;
        };
        self.notes.shape(&item.key, || Kind::Texts);
        let texts = values.iter().filter_map(|value| {
            let item = Item {
                value: value.get_ref(),
                notes: self.notes,
                key: item.key.clone(),
                at: value.span(),
            };
            item.text(example)
        });
        Some(texts.collect())
    }

    /// Returns whether the key's value is a list with nothing in it.
    pub(crate) fn is_empty_list(&self, key: &str) -> bool {
        let list = self.get(key).and_then(|item| item.value.as_array());
        list.is_some_and(|values| values.is_empty())
    }

    /// A table that has no keys but the known ones.
    pub(crate) fn section(&self, key: &str, known: &[&str]) -> Option<Section<'a>> {
        self.get(key)?.section(known)
    }

    /// A list of tables, `[[key]]`.
    pub(crate) fn sections(&self, key: &str, known: &[&str]) -> Vec<Section<'a>> {
        let Some(item) = self.get(key) else {
            return Vec::new();
        };
        let Some(values) = item.value.as_array() else {
            item.refuse_type(&format!("a list of tables, each under [[{}]]", item.key));
            return Vec::new();
        };
        self.notes.shape(&item.key, || Kind::table(known).listed());
        let tables = values.iter().filter_map(|value| {
            let item = Item {
                value: value.get_ref(),
                notes: self.notes,
                key: item.key.clone(),
                at: value.span(),
            };
            item.section(known)
        });
        tables.collect()
    }

    /// The keys and values of a table whose keys are names, in the order of names.
    pub(crate) fn named(
        &self,
        key: &str,
    ) -> impl Iterator<Item = (Item<'a, &'a str>, Item<'a, &'a DeValue<'a>>)> + use<'a> {
        let notes = self.notes;
        let item = self.get(key);
        let prefix = self.key_of(key);
        notes.shape(&prefix, || Kind::Named);
        let table = item.as_ref().and_then(|item| {
            let table = item.value.as_table();
            if table.is_none() {
                item.refuse_type(&format!(
                    "a table with a name for each, such as [{prefix}.NAME]"
                ));
            }
            table
        });
        table.into_iter().flatten().map(move |(name, value)| {
            let key = format!("{prefix}.{}", name.get_ref());
            let name = Item {
                value: name.get_ref().as_ref(),
                notes,
                key: key.clone(),
                at: name.span(),
            };
            let value = Item {
                value: value.get_ref(),
                notes,
                key,
                at: value.span(),
            };
            (name, value)
        })
    }

    fn get(&self, key: &str) -> Option<Item<'a, &'a DeValue<'a>>> {
        let value = self.table.get(key)?;
        Some(Item {
            value: value.get_ref(),
            notes: self.notes,
            key: self.key_of(key),
            at: value.span(),
        })
    }

    /// Notes the keys that are not known.
    fn without_unknown(mut self, known: &[&str]) -> Self {
        for (key, _) in self.table {
            let name: &str = key.get_ref();
            if known.contains(&name) {
                continue;
            }
            let help = match nearest(name, known.iter().copied()) {
                Some(near) => {
                    self.misspelt.push(near.to_owned());
                    format!("write {near:?}")
                }
                None => format!("the keys known here are {}", known.join(", ")),
            };
            let wrong = Diagnostic::new(Code::UnknownKey, format!("there is no key {name:?}"), help);
            self.notes.add(
                Some(self.notes.spot(&key.span())),
                &self.key_of(name),
                wrong,
            );
        }
        self
    }
}

impl<'a> Item<'a, &'a DeValue<'a>> {
    /// The value as a table that has no keys but the known ones.
    pub(crate) fn section(self, known: &[&str]) -> Option<Section<'a>> {
        let Some(table) = self.value.as_table() else {
            self.refuse_type(&format!(
                "a table with any of the keys {}",
                known.join(", ")
            ));
            return None;
        };
        self.notes.shape(&self.key, || Kind::table(known));
        let section = Section {
            notes: self.notes,
            key: self.key,
            at: self.at,
            table,
            misspelt: Vec::new(),
        };
        Some(section.without_unknown(known))
    }
}
