//! The mistakes of a configuration, with their positions.

use std::{
    cell::{Cell, RefCell},
    ops::Range,
    path::Path,
    sync::Arc,
};

use wasmgate_common::{Diagnostic, Place, Position};

use super::shape::{Kind, Shape};
use crate::config::{fill, lines::Lines};

/// The number of times that a near name is looked for among the packages. Each search reads all names, so a large
/// file that is wrong throughout would otherwise take minutes; after so many, the idea is clear.
const MAX_SUGGESTIONS: usize = 20;

/// The shortest value of a variable that is kept out of what is said, in bytes: what is shorter is no secret, and would
/// be found in any text.
const SHORTEST_SECRET: usize = 4;

/// A character of one of the files.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Spot {
    /// The file.
    pub(crate) file: Arc<Path>,
    /// The character.
    pub(crate) position: Position,
}

impl Spot {
    /// The place of a key there.
    pub(crate) fn place(&self, key: &str) -> Place {
        Place::in_file(Arc::clone(&self.file), Some(self.position), key)
    }
}

/// The notes on files that are laid over each other.
pub(crate) struct Notes<'t> {
    /// In their order, each with the place of its beginning among all of them.
    files: Vec<(usize, Arc<Path>, Lines<'t>)>,
    mistakes: RefCell<Vec<Diagnostic>>,
    suggestions: Cell<usize>,
    /// The variables that were filled in, which are not for everyone's eyes: names and values.
    variables: RefCell<Vec<(String, String)>>,
    /// What was looked for, if somebody wants to know.
    shape: Option<RefCell<Shape>>,
}

impl<'t> Notes<'t> {
    /// Notes on these files, the first of them the one that the others are laid over.
    pub(crate) fn new(texts: impl IntoIterator<Item = (&'t Path, &'t str)>) -> Self {
        let mut start = 0;
        let files = texts.into_iter().map(|(file, text)| {
            let begins = start;
            start += text.len() + 1;
            (begins, file.into(), Lines::new(text))
        });
        Self {
            files: files.collect(),
            mistakes: RefCell::default(),
            suggestions: Cell::new(0),
            variables: RefCell::default(),
            shape: None,
        }
    }

    /// Notes what is looked for, too.
    pub(crate) fn with_shape(self) -> Self {
        Self {
            shape: Some(RefCell::default()),
            ..self
        }
    }

    /// Takes what was looked for.
    pub(crate) fn take_shape(&self) -> Shape {
        self.shape.as_ref().map(RefCell::take).unwrap_or_default()
    }

    /// Notes what is looked for at a key.
    pub(super) fn shape(&self, key: &str, kind: impl FnOnce() -> Kind) {
        if let Some(shape) = &self.shape {
            // A list is noted before the texts in it.
            shape
                .borrow_mut()
                .entry(key.to_owned())
                .or_insert_with(kind);
        }
    }

    /// Takes what was noted so far.
    pub(crate) fn take(&self) -> Vec<Diagnostic> {
        self.mistakes.take()
    }

    /// The number of mistakes so far.
    pub(crate) fn count(&self) -> usize {
        self.mistakes.borrow().len()
    }

    /// Notes a mistake; without a place for what is written nowhere. Values of variables are told by their names.
    pub(crate) fn add(&self, spot: Option<Spot>, key: &str, wrong: Diagnostic) {
        let first = || self.files.first().map(|(_, file, _)| Arc::clone(file));
        let place = match spot {
            Some(spot) => spot.place(key),
            None => Place {
                file: first(),
                ..Place::of_key(key)
            },
        };
        let wrong = Diagnostic {
            message: self.without_values(wrong.message),
            help: self.without_values(wrong.help),
            ..wrong
        };
        self.mistakes.borrow_mut().push(wrong.at(place));
    }

    /// The place of what is at these bytes of all files.
    pub(crate) fn spot(&self, at: &Range<usize>) -> Spot {
        let after = self.files.partition_point(|(start, ..)| *start <= at.start);
        match after.checked_sub(1).and_then(|index| self.files.get(index)) {
            Some((start, file, lines)) => Spot {
                file: Arc::clone(file),
                position: lines.position(at.start - start),
            },
            None => Spot {
                file: Path::new("").into(),
                position: Position::default(),
            },
        }
    }

    /// Fills the variables of a text, and notes those that are missing.
    pub(crate) fn fill(
        &self,
        key: &str,
        at: &Range<usize>,
        text: &str,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Option<String> {
        match fill::fill(text, variable) {
            Ok(filled) => {
                let long = filled
                    .used
                    .into_iter()
                    .filter(|(_, value)| value.len() >= SHORTEST_SECRET);
                self.variables.borrow_mut().extend(long);
                Some(filled.text)
            }
            Err(wrong) => {
                for wrong in wrong {
                    self.add(Some(self.spot(at)), key, wrong);
                }
                None
            }
        }
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

    fn without_values(&self, mut text: String) -> String {
        for (name, value) in self.variables.borrow().iter() {
            // As it is, and as it is quoted.
            let quoted = format!("{value:?}");
            let quoted = quoted.trim_matches('"');
            for value in [value.as_str(), quoted] {
                if text.contains(value) {
                    text = text.replace(value, &format!("${{{name}}}"));
                }
            }
        }
        text
    }
}

/// The name nearest to `wrong`, if a slip of the keys could have made the one into the other: one
/// slip for every three characters.
pub(crate) fn nearest<'n>(wrong: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let slips = wrong.chars().count().div_ceil(3);
    names
        .into_iter()
        .filter(|name| name.len().abs_diff(wrong.len()) <= slips)
        .map(|name| (strsim::damerau_levenshtein(wrong, name), name))
        .filter(|(distance, _)| *distance <= slips)
        .min()
        .map(|(_, name)| name)
}
