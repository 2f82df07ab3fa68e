//! Reads a table key by key and notes every mistake instead of stopping at the first.
//!
//! Each getter returns `None` both for an absent key and for a wrong one, and notes the latter. The caller continues
//! with a default; if there are notes in the end, there is no configuration.
//!
//! Our own, on top of `toml`'s parser with positions: deserializing with serde stops at the first mistake, and an
//! operator should see all of them in one run, each with its line and remedy.

mod item;
mod notes;
mod section;
mod shape;

use std::fmt::Display;

pub(crate) use notes::nearest;
pub(super) use notes::{Notes, Spot};
pub(super) use section::Section;
pub(super) use shape::{Kind, Shape};

/// Joins what is known or allowed for help.
pub(super) fn one_of<T: Display>(choices: &[T]) -> String {
    let quoted: Vec<String> = choices
        .iter()
        .map(|choice| format!("\"{choice}\""))
        .collect();
    quoted.join(", ")
}
