//! Reads a table key by key and notes every mistake instead of stopping at the first.
//!
//! Each getter gives `None` both for a key that is absent and for one that is wrong; a wrong one is
//! noted. The caller goes on with a default, and the notes decide in the end whether there is a
//! configuration at all.
//!
//! Kept by hand beside `toml`, which reads the text and knows the places: its way by serde ends at the first mistake,
//! and an operator is to see all of them in one run, each with its line and what to write instead.

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
