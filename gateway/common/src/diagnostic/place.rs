//! Positions in files.

use std::{fmt, path::Path, sync::Arc};

/// A character of a file. Positions are ordered as they are read.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Position {
    /// The line, from 1.
    pub line: u32,
    /// The character in its line, from 1.
    pub column: u32,
}

/// The place of a mistake, as far as it is known. The default is no place at all.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Place {
    /// The file.
    pub file: Option<Arc<Path>>,
    /// The number of the document in a YAML file, from 1; `None` in files that are one document.
    pub document: Option<usize>,
    /// The character; `None` when the mistake is about the whole file, or about a default that is not written.
    pub position: Option<Position>,
    /// The key, such as `server.listen`; empty when the mistake is about no key.
    pub key: String,
}

impl Place {
    /// A place in a file that is one document, such as `wasmgate.toml`.
    pub fn in_file(file: Arc<Path>, position: Option<Position>, key: impl Into<String>) -> Self {
        Self {
            file: Some(file),
            document: None,
            position,
            key: key.into(),
        }
    }

    /// A place in a document of a YAML file, counted from 1.
    pub fn in_document(file: Arc<Path>, document: usize, key: impl Into<String>) -> Self {
        Self {
            file: Some(file),
            document: Some(document),
            position: None,
            key: key.into(),
        }
    }

    /// A key of a file that whoever reads it names.
    pub fn of_key(key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            ..Self::default()
        }
    }

    /// Returns whether nothing is known of the place.
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Place {
    /// `wasmgate.toml:3:10: server.listen`, or `store.yaml, document 1, spec.type`; what is not known is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        if let Some(file) = &self.file {
            write!(f, "{}", file.display())?;
            separator = ": ";
        }
        if let Some(Position { line, column }) = self.position {
            write!(f, ":{line}:{column}")?;
            separator = ": ";
        }
        if let Some(document) = self.document {
            write!(f, ", document {document}")?;
            separator = ", ";
        }
        if !self.key.is_empty() {
            write!(f, "{separator}{}", self.key)?;
        }
        Ok(())
    }
}
