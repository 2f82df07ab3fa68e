//! A value with its position.

use std::ops::Range;

use toml::de::DeValue;
use wasmgate_common::{Code, Diagnostic};

use super::{
    notes::{Notes, Spot},
    shape::Kind,
};

/// One value of the file, and where it is.
pub(crate) struct Item<'a, T> {
    pub(crate) value: T,
    pub(super) notes: &'a Notes<'a>,
    pub(super) key: String,
    pub(super) at: Range<usize>,
}

impl<'a, T> Item<'a, T> {
    /// Notes what is wrong with the value.
    pub(crate) fn refuse(&self, wrong: Diagnostic) {
        self.notes.add(Some(self.spot()), &self.key, wrong);
    }

    pub(crate) fn spot(&self) -> Spot {
        self.notes.spot(&self.at)
    }
}

impl<'a> Item<'a, &'a str> {
    /// The text's meaning.
    pub(crate) fn parsed<T>(&self, parse: impl FnOnce(&str) -> Result<T, Diagnostic>) -> Option<T> {
        parse(self.value).map_err(|wrong| self.refuse(wrong)).ok()
    }
}

impl<'a> Item<'a, &'a DeValue<'a>> {
    pub(crate) fn text(self, example: &str) -> Option<Item<'a, &'a str>> {
        self.notes
            .shape(&self.key, || Kind::Text(example.to_owned()));
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

    pub(super) fn refuse_type(&self, right: &str) {
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
