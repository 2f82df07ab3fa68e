//! Reads a table key by key and notes every mistake instead of stopping at the first.
//!
//! Each getter gives `None` both for a key that is absent and for one that is wrong; a wrong one is
//! noted. The caller goes on with a default, and the notes decide in the end whether there is a
//! configuration at all.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fmt::Display,
    ops::{Range, RangeInclusive},
    path::Path,
    sync::Arc,
};

use toml::de::{DeTable, DeValue};
use wasmgate_common::{Code, Diagnostic, Place, Position};

use super::lines::Lines;

/// How often a near name is looked for among the packages. Each search reads all names, so a large
/// file that is wrong throughout would otherwise take minutes; after so many, the idea is clear.
const MAX_SUGGESTIONS: usize = 20;

/// The notes on one file.
pub(super) struct Notes<'t> {
    file: Arc<Path>,
    lines: Lines<'t>,
    mistakes: RefCell<Vec<Diagnostic>>,
    suggestions: Cell<usize>,
}

/// One table of the file.
pub(super) struct Section<'a> {
    notes: &'a Notes<'a>,
    key: String,
    at: Range<usize>,
    table: &'a DeTable<'a>,
}

/// One value of the file, and where it is.
pub(super) struct Item<'a, T> {
    pub(super) value: T,
    notes: &'a Notes<'a>,
    key: String,
    at: Range<usize>,
}

impl<'t> Notes<'t> {
    pub(super) fn new(text: &'t str, file: &Path) -> Self {
        Self {
            file: file.into(),
            lines: Lines::new(text),
            mistakes: RefCell::default(),
            suggestions: Cell::new(0),
        }
    }

    /// Takes what was noted so far.
    pub(super) fn take(&self) -> Vec<Diagnostic> {
        self.mistakes.take()
    }

    /// Notes a mistake; without a position for what is written nowhere.
    pub(super) fn add(&self, position: Option<Position>, key: &str, wrong: Diagnostic) {
        let place = Place::in_file(Arc::clone(&self.file), position, key);
        self.mistakes.borrow_mut().push(wrong.at(place));
    }

    pub(super) fn position(&self, at: &Range<usize>) -> Position {
        self.lines.position(at.start)
    }

    /// The name nearest to `wrong`, if one is near, and if not too many were looked for.
    pub(super) fn nearest<'n>(&self, wrong: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
        let asked = self.suggestions.get();
        self.suggestions.set(asked + 1);
        if asked < MAX_SUGGESTIONS {
            nearest(wrong, names)
        } else {
            None
        }
    }
}

impl<'a> Section<'a> {
    /// The whole file.
    pub(super) fn root(notes: &'a Notes<'a>, table: &'a DeTable<'a>, known: &[&str]) -> Self {
        let root = Self {
            notes,
            key: String::new(),
            at: 0..0,
            table,
        };
        root.refuse_unknown(known);
        root
    }

    /// Whether the key is written, rightly or wrongly.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Notes a mistake of the table as a whole.
    pub(super) fn refuse(&self, wrong: Diagnostic) {
        self.notes.add(Some(self.position()), &self.key, wrong);
    }

    /// Notes a mistake of a key's value.
    pub(super) fn refuse_key(&self, key: &str, wrong: Diagnostic) {
        if let Some(item) = self.get(key) {
            item.refuse(wrong);
        }
    }

    /// The name nearest to `wrong`, if one is near and not too many were looked for.
    pub(super) fn nearest<'n>(&self, wrong: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
        self.notes.nearest(wrong, names)
    }

    /// Where the table is.
    pub(super) fn position(&self) -> Position {
        self.notes.position(&self.at)
    }

    /// Where the key's value is written, if it is.
    pub(super) fn position_of(&self, key: &str) -> Option<Position> {
        Some(self.get(key)?.position())
    }

    /// Where the values in these tables are written, by their full names.
    pub(super) fn positions(&self, tables: &[&str]) -> BTreeMap<String, Position> {
        let named = tables.iter().flat_map(|table| {
            let values = self
                .table
                .get(*table)
                .and_then(|value| value.get_ref().as_table());
            values.into_iter().flatten().map(move |(key, value)| {
                (
                    format!("{table}.{}", key.get_ref()),
                    self.notes.position(&value.span()),
                )
            })
        });
        named.collect()
    }

    /// The full name of a key of this table.
    pub(super) fn key_of(&self, key: &str) -> String {
        if self.key.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.key)
        }
    }

    /// A text, such as `example`.
    pub(super) fn text(&self, key: &str, example: &str) -> Option<Item<'a, &'a str>> {
        self.get(key)?.text(example)
    }

    /// A text, such as `example`, with a meaning.
    pub(super) fn parsed<T>(
        &self,
        key: &str,
        example: &str,
        parse: impl FnOnce(&str) -> Result<T, Diagnostic>,
    ) -> Option<T> {
        self.text(key, example)?.parsed(parse)
    }

    /// True or false.
    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        let item = self.get(key)?;
        let flag = item.value.as_bool();
        if flag.is_none() {
            item.refuse_type("true or false");
        }
        flag
    }

    /// A whole number in a range.
    pub(super) fn count(&self, key: &str, range: RangeInclusive<usize>) -> Option<usize> {
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
    pub(super) fn texts(&self, key: &str, example: &str) -> Option<Vec<Item<'a, &'a str>>> {
        let item = self.get(key)?;
        let Some(values) = item.value.as_array() else {
            item.refuse_type(&format!("a list such as [{example:?}]"));
            return None;
        };
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

    /// Whether the key's value is a list with nothing in it.
    pub(super) fn is_empty_list(&self, key: &str) -> bool {
        let list = self.get(key).and_then(|item| item.value.as_array());
        list.is_some_and(|values| values.is_empty())
    }

    /// A table that has no keys but the known ones.
    pub(super) fn section(&self, key: &str, known: &[&str]) -> Option<Section<'a>> {
        self.get(key)?.section(known)
    }

    /// A list of tables, `[[key]]`.
    pub(super) fn sections(&self, key: &str, known: &[&str]) -> Vec<Section<'a>> {
        let Some(item) = self.get(key) else {
            return Vec::new();
        };
        let Some(values) = item.value.as_array() else {
            item.refuse_type(&format!("a list of tables, each under [[{}]]", item.key));
            return Vec::new();
        };
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
    pub(super) fn named(
        &self,
        key: &str,
    ) -> impl Iterator<Item = (Item<'a, &'a str>, Item<'a, &'a DeValue<'a>>)> + use<'a> {
        let notes = self.notes;
        let item = self.get(key);
        let prefix = self.key_of(key);
        let table = item.as_ref().and_then(|item| {
            let table = item.value.as_table();
            if table.is_none() {
                item.refuse_type("a table");
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

    fn refuse_unknown(&self, known: &[&str]) {
        for (key, _) in self.table {
            let name: &str = key.get_ref();
            if known.contains(&name) {
                continue;
            }
            let help = match nearest(name, known.iter().copied()) {
                Some(near) => format!("write {near:?}"),
                None => format!("the keys known here are {}", known.join(", ")),
            };
            let wrong = Diagnostic::new(Code::UnknownKey, format!("there is no key {name:?}"), help);
            self.notes.add(
                Some(self.notes.position(&key.span())),
                &self.key_of(name),
                wrong,
            );
        }
    }
}

impl<'a, T> Item<'a, T> {
    /// Notes what is wrong with the value.
    pub(super) fn refuse(&self, wrong: Diagnostic) {
        self.notes.add(Some(self.position()), &self.key, wrong);
    }

    pub(super) fn position(&self) -> Position {
        self.notes.position(&self.at)
    }
}

impl<'a> Item<'a, &'a str> {
    /// The text's meaning.
    pub(super) fn parsed<T>(&self, parse: impl FnOnce(&str) -> Result<T, Diagnostic>) -> Option<T> {
        parse(self.value).map_err(|wrong| self.refuse(wrong)).ok()
    }
}

impl<'a> Item<'a, &'a DeValue<'a>> {
    pub(super) fn text(self, example: &str) -> Option<Item<'a, &'a str>> {
        let Some(text) = self.value.as_str() else {
            self.refuse_type(&format!("a text such as {example:?}"));
            return None;
        };
        Some(Item {
            value: text,
            notes: self.notes,
            key: self.key,
            at: self.at,
        })
    }

    pub(super) fn section(self, known: &[&str]) -> Option<Section<'a>> {
        let Some(table) = self.value.as_table() else {
            self.refuse_type(&format!(
                "a table with any of the keys {}",
                known.join(", ")
            ));
            return None;
        };
        let section = Section {
            notes: self.notes,
            key: self.key,
            at: self.at,
            table,
        };
        section.refuse_unknown(known);
        Some(section)
    }

    fn refuse_type(&self, right: &str) {
        let found = match self.value {
            DeValue::String(text) => format!("the text {text:?}"),
            DeValue::Integer(number) => format!("the number {number}"),
            DeValue::Float(number) => format!("the number {number}"),
            DeValue::Boolean(flag) => flag.to_string(),
            DeValue::Datetime(time) => format!("the time {time}"),
            DeValue::Array(_) => "a list".to_owned(),
            DeValue::Table(_) => "a table".to_owned(),
        };
        self.refuse(Diagnostic::new(
            Code::WrongType,
            format!("{found} does not belong here"),
            format!("write {right}"),
        ));
    }
}

/// Joins what is known or allowed for help.
pub(super) fn one_of<T: Display>(choices: &[T]) -> String {
    let quoted: Vec<String> = choices
        .iter()
        .map(|choice| format!("\"{choice}\""))
        .collect();
    quoted.join(", ")
}

/// The name nearest to `wrong`, if a slip of the keys could have made the one into the other: one
/// slip for every three characters.
fn nearest<'n>(wrong: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let slips = wrong.chars().count().div_ceil(3);
    names
        .into_iter()
        .filter(|name| name.len().abs_diff(wrong.len()) <= slips)
        .map(|name| (strsim::damerau_levenshtein(wrong, name), name))
        .filter(|(distance, _)| *distance <= slips)
        .min()
        .map(|(_, name)| name)
}
