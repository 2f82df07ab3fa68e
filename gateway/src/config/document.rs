//! The text of a configuration as one tree: files merged over each other, with variables filled in.
//!
//! Every value keeps its position: the offsets of a later file follow those of the one before, so that [`Lines`] can
//! tell which file a value is from.
//!
//! [`Lines`]: super::lines::Lines

use std::{borrow::Cow, ops::Range};

use toml::{
    Spanned,
    de::{DeArray, DeTable, DeValue},
};

/// Moves every place of a tree by so many bytes.
pub(super) fn shifted(table: DeTable<'_>, by: usize) -> DeTable<'_> {
    let entries = table.into_iter();
    let entries = entries.map(|(key, value)| (shift(key, by), shifted_value(value, by)));
    entries.collect()
}

fn shifted_value(value: Spanned<DeValue<'_>>, by: usize) -> Spanned<DeValue<'_>> {
    let at = moved(value.span(), by);
    let value = match value.into_inner() {
        DeValue::Table(table) => DeValue::Table(shifted(table, by)),
        DeValue::Array(values) => {
            let values = values.into_iter();
            DeValue::Array(
                values
                    .map(|value| shifted_value(value, by))
                    .collect::<DeArray<'_>>(),
            )
        }
        other => other,
    };
    Spanned::new(at, value)
}

fn shift<T>(value: Spanned<T>, by: usize) -> Spanned<T> {
    Spanned::new(moved(value.span(), by), value.into_inner())
}

/// A place that is so many bytes further on.
pub(super) fn moved(at: Range<usize>, by: usize) -> Range<usize> {
    at.start.saturating_add(by)..at.end.saturating_add(by)
}

/// Lays `upper` over `lower`: tables are joined key by key, anything else of `upper` stands in its place.
pub(super) fn lay_over<'t>(lower: &mut DeTable<'t>, upper: DeTable<'t>) {
    for (key, value) in upper {
        let both = lower.get_mut(key.get_ref().as_ref()).map(Spanned::get_mut);
        match (both, value.get_ref()) {
            (Some(DeValue::Table(below)), DeValue::Table(_)) => {
                if let DeValue::Table(above) = value.into_inner() {
                    lay_over(below, above);
                }
            }
            _ => {
                // The key goes too: its place is in the file that is below.
                lower.remove(key.get_ref().as_ref());
                lower.insert(key, value);
            }
        }
    }
}

/// Calls `fill` with the full name and the place of every text, and puts what it answers in the text's place.
pub(super) fn fill_texts(table: &mut DeTable<'_>, fill: &mut impl FnMut(&str, Range<usize>, &str) -> Option<String>) {
    fill_table("", table, fill);
}

fn fill_table(
    prefix: &str,
    table: &mut DeTable<'_>,
    fill: &mut impl FnMut(&str, Range<usize>, &str) -> Option<String>,
) {
    for (key, value) in table {
        let key = key.get_ref();
        let key = if prefix.is_empty() {
            key.to_string()
        } else {
            format!("{prefix}.{key}")
        };
        fill_value(&key, value, fill);
    }
}

fn fill_value(
    key: &str,
    value: &mut Spanned<DeValue<'_>>,
    fill: &mut impl FnMut(&str, Range<usize>, &str) -> Option<String>,
) {
    let at = value.span();
    match value.get_mut() {
        DeValue::String(text) if text.contains('$') => {
            if let Some(filled) = fill(key, at, text) {
                *text = Cow::Owned(filled);
            }
        }
        DeValue::Table(table) => fill_table(key, table, fill),
        DeValue::Array(values) => {
            for value in values.iter_mut() {
                fill_value(key, value, fill);
            }
        }
        _ => {}
    }
}
