//! The notes on one file: what is wrong in it, and where.

use std::{
    cell::{Cell, RefCell},
    ops::Range,
    path::Path,
    sync::Arc,
};

use wasmgate_common::{Diagnostic, Place, Position};

use crate::config::lines::Lines;

/// The number of times that a near name is looked for among the packages. Each search reads all names, so a large
/// file that is wrong throughout would otherwise take minutes; after so many, the idea is clear.
const MAX_SUGGESTIONS: usize = 20;

/// The notes on one file.
pub(crate) struct Notes<'t> {
    file: Arc<Path>,
    lines: Lines<'t>,
    mistakes: RefCell<Vec<Diagnostic>>,
    suggestions: Cell<usize>,
}

impl<'t> Notes<'t> {
    pub(crate) fn new(text: &'t str, file: &Path) -> Self {
        Self {
            file: file.into(),
            lines: Lines::new(text),
            mistakes: RefCell::default(),
            suggestions: Cell::new(0),
        }
    }

    /// Takes what was noted so far.
    pub(crate) fn take(&self) -> Vec<Diagnostic> {
        self.mistakes.take()
    }

    /// Notes a mistake; without a position for what is written nowhere.
    pub(crate) fn add(&self, position: Option<Position>, key: &str, wrong: Diagnostic) {
        let place = Place::in_file(Arc::clone(&self.file), position, key);
        self.mistakes.borrow_mut().push(wrong.at(place));
    }

    pub(crate) fn position(&self, at: &Range<usize>) -> Position {
        self.lines.position(at.start)
    }

    /// The name nearest to `wrong`, if one is near, and if not too many were looked for.
    pub(crate) fn nearest<'n>(&self, wrong: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
        let asked = self.suggestions.get();
        self.suggestions.set(asked + 1);
        if asked < MAX_SUGGESTIONS {
            nearest(wrong, names)
        } else {
            None
        }
    }
}

/// The name nearest to `wrong`, if a slip of the keys could have made the one into the other: one
/// slip for every three characters.
pub(super) fn nearest<'n>(wrong: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let slips = wrong.chars().count().div_ceil(3);
    names
        .into_iter()
        .filter(|name| name.len().abs_diff(wrong.len()) <= slips)
        .map(|name| (strsim::damerau_levenshtein(wrong, name), name))
        .filter(|(distance, _)| *distance <= slips)
        .min()
        .map(|(_, name)| name)
}
