//! The mistakes of a configuration, each with its place and its remedy.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::Config;

/// Where something is written in a file.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Place {
    /// The line, from 1; 0 when the thing is not written anywhere.
    pub line: u32,
    /// The character in its line, from 1.
    pub column: u32,
}

/// One mistake in a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mistake {
    /// Where it is; `None` when it is about the whole file, or about a default that is not written.
    pub place: Option<Place>,
    /// The key, such as `server.listen`; empty when it is about no key.
    pub key: String,
    /// What is wrong, with what was found.
    pub what: String,
    /// What would be right.
    pub remedy: String,
}

/// All the mistakes of one file, in the order of their places.
#[derive(Clone, Debug)]
pub struct Report {
    file: PathBuf,
    mistakes: Vec<Mistake>,
    sound: Option<Box<Config>>,
}

impl Report {
    /// A report on a file; without mistakes it is none yet.
    #[must_use]
    pub fn new(file: &Path, mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort_by_key(|mistake| mistake.place);
        Self {
            file: file.to_owned(),
            mistakes,
            sound: None,
        }
    }

    /// Keeps what is right of the file, so that the components it names can be checked in the same run.
    pub(super) fn beside(mut self, sound: Config) -> Self {
        self.sound = Some(Box::new(sound));
        self
    }

    /// What is right of the file: good for checking its packages, not for serving, since routes and packages
    /// are missing. `None` when the file could not be read as a whole.
    pub fn take_sound(&mut self) -> Option<Config> {
        self.sound.take().map(|config| *config)
    }

    /// Takes the mistakes of another report on the same file in.
    pub fn merge(&mut self, other: Self) {
        self.mistakes.extend(other.mistakes);
        self.mistakes.sort_by_key(|mistake| mistake.place);
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The mistakes.
    #[must_use]
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }
}

impl fmt::Display for Report {
    /// A block for each mistake, and a last line that counts them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        for Mistake {
            place,
            key,
            what,
            remedy,
        } in &self.mistakes
        {
            match place {
                Some(Place { line, column }) => write!(f, "{file}:{line}:{column}: ")?,
                None => write!(f, "{file}: ")?,
            }
            if key.is_empty() {
                writeln!(f, "{what}")?;
            } else {
                writeln!(f, "{key}: {what}")?;
            }
            writeln!(f, "    {remedy}\n")?;
        }
        match self.mistakes.len() {
            1 => write!(f, "1 mistake in {file}"),
            n => write!(f, "{n} mistakes in {file}"),
        }
    }
}

impl std::error::Error for Report {}

/// Finds lines and columns of byte offsets.
pub(super) struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1));
        Self {
            text,
            starts: starts.collect(),
        }
    }

    pub(super) fn place(&self, offset: usize) -> Place {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = line
            .checked_sub(1)
            .and_then(|i| self.starts.get(i))
            .copied()
            .unwrap_or(0);
        let before = self
            .text
            .get(start..offset)
            .map_or(0, |text| text.chars().count());
        Place {
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(before + 1).unwrap_or(u32::MAX),
        }
    }
}
