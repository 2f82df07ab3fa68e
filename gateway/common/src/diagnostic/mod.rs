//! Mistakes in what users write: the configuration, Dapr's component files and packages.

mod code;
mod place;

use std::{
    fmt,
    path::{Path, PathBuf},
};

pub use code::Code;
pub use place::{Place, Position};

/// The most characters of a message or of help that are told: some screens.
const MAX_MESSAGE: usize = 4000;

/// A mistake of a user's: its kind, its place, a message and help.
///
/// Whoever refuses a value tells kind, message and help; whoever has read it from somewhere adds the place.
///
/// ```
/// use wasmgate_common::{Code, Diagnostic, Place};
/// let refused = Diagnostic::new(Code::OutOfRange, "0 is out of range", "write 1 to 9");
/// let place = Place::in_file(std::path::Path::new("wasmgate.toml").into(), None, "limits.concurrency");
/// assert_eq!(
///     refused.at(place).to_string(),
///     "wasmgate.toml: limits.concurrency: 0 is out of range; write 1 to 9"
/// );
/// ```
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}{message}; {help}", Prefix(place))]
pub struct Diagnostic {
    /// The kind, for tools.
    pub code: Code,
    /// The place; unknown until whoever read the value adds it.
    pub place: Place,
    /// The mistake, with the value as it was found.
    pub message: String,
    /// The remedy: what to write or do instead.
    pub help: String,
}

impl Diagnostic {
    /// A mistake whose place is not known yet.
    ///
    /// What was found may be anybody's, a package's too: characters that would steer a terminal are written as Rust
    /// escapes them, and a message ends after some screens.
    pub fn new(code: Code, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            code,
            place: Place::default(),
            message: plain(message.into()),
            help: plain(help.into()),
        }
    }

    /// Gives the mistake its place. One that has a place already, such as one in a file that is named at `place`, keeps
    /// it in its message.
    #[must_use]
    pub fn at(self, place: Place) -> Self {
        let message = format!("{}{}", Prefix(&self.place), self.message);
        Self {
            place,
            message,
            ..self
        }
    }
}

/// Mistakes that were found in one go, in the order of their places.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Diagnostics {
    subject: PathBuf,
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// The mistakes found in `subject`, a file or a folder.
    pub fn new(subject: impl Into<PathBuf>, list: Vec<Diagnostic>) -> Self {
        let mut diagnostics = Self {
            subject: subject.into(),
            list,
        };
        diagnostics.sort();
        diagnostics
    }

    /// Adds the mistakes of another list on the same subject.
    pub fn merge(&mut self, other: Self) {
        self.list.extend(other.list);
        self.sort();
    }

    /// The file or folder in which they were found.
    pub fn subject(&self) -> &Path {
        &self.subject
    }

    /// Returns whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The mistakes.
    pub fn as_slice(&self) -> &[Diagnostic] {
        &self.list
    }

    fn sort(&mut self) {
        self.list.sort_by(|one, other| {
            let key = |it: &Diagnostic| (it.place.document, it.place.position);
            let by_file = one.place.file.cmp(&other.place.file);
            by_file.then_with(|| key(one).cmp(&key(other)))
        });
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

impl fmt::Display for Diagnostics {
    /// A block for each mistake, and a last line that counts them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Diagnostic {
            place,
            message,
            help,
            ..
        } in &self.list
        {
            writeln!(f, "{}{message}", Prefix(place))?;
            writeln!(f, "    {help}\n")?;
        }
        let subject = self.subject.display();
        match self.list.len() {
            1 => write!(f, "1 mistake in {subject}"),
            n => write!(f, "{n} mistakes in {subject}"),
        }
    }
}

impl std::error::Error for Diagnostics {}

/// A text that does no harm wherever it is printed.
fn plain(text: String) -> String {
    let end = text.char_indices().nth(MAX_MESSAGE).map(|(end, _)| end);
    let steers = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if end.is_none() && !text.contains(steers) {
        return text;
    }
    let told = text.get(..end.unwrap_or(text.len())).unwrap_or_default();
    let mut plain = String::with_capacity(told.len());
    for c in told.chars() {
        if steers(c) {
            plain.extend(c.escape_default());
        } else {
            plain.push(c);
        }
    }
    if end.is_some() {
        plain.push_str(" ... (cut here)");
    }
    plain
}

/// A place in front of a message; nothing for one that is not known.
struct Prefix<'a>(&'a Place);

impl fmt::Display for Prefix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_unknown() {
            return Ok(());
        }
        write!(f, "{}: ", self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn wrong(message: &str) -> Diagnostic {
        Diagnostic::new(Code::InvalidValue, message, "write another")
    }

    fn file(name: &str) -> Arc<Path> {
        Path::new(name).into()
    }

    #[test]
    fn a_mistake_in_a_file_that_a_key_names_is_told_with_both_places() {
        let inner = Place::in_document(file("store.yaml"), 2, "spec.type");
        let position = Some(Position { line: 3, column: 7 });
        let outer = Place::in_file(file("wasmgate.toml"), position, "dapr.components");
        assert_eq!(
            wrong("bad").at(inner).at(outer).to_string(),
            "wasmgate.toml:3:7: dapr.components: store.yaml, document 2, spec.type: bad; write another"
        );
    }

    #[test]
    fn what_somebody_else_wrote_neither_floods_nor_steers_a_terminal() {
        let told = wrong("found \u{1b}[2J\r\nand more").to_string();
        assert!(told.starts_with("found \\u{1b}[2J\\r\nand more"), "{told}");
        let long = wrong(&"é".repeat(1 << 20)).message;
        assert!(long.starts_with(&"é".repeat(MAX_MESSAGE)));
        assert!(long.chars().count() < MAX_MESSAGE + 100);
        assert_eq!(
            wrong(&"é".repeat(MAX_MESSAGE)).message,
            "é".repeat(MAX_MESSAGE)
        );
    }

    #[test]
    fn mistakes_are_printed_in_the_order_of_their_places_and_counted() {
        let at = |line: Option<u32>, message| {
            let position = line.map(|line| Position { line, column: 1 });
            wrong(message).at(Place::in_file(file("a.toml"), position, ""))
        };
        let list = vec![at(Some(9), "last"), at(None, "whole"), at(Some(2), "first")];
        let mut all = Diagnostics::new("a.toml", list);
        all.merge(Diagnostics::new("a.toml", vec![at(Some(5), "middle")]));
        assert_eq!(
            all.to_string(),
            "a.toml: whole\n    write another\n\n\
             a.toml:2:1: first\n    write another\n\n\
             a.toml:5:1: middle\n    write another\n\n\
             a.toml:9:1: last\n    write another\n\n\
             4 mistakes in a.toml"
        );
    }
}
