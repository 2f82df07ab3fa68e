//! A written value that was refused: what is wrong with it, and what to write instead.

/// Why a value was refused. The place where it was written is added by whoever read it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{what}; {remedy}")]
pub struct Invalid {
    /// What is wrong, with the value as it was found.
    pub what: String,
    /// What would be right.
    pub remedy: String,
}

impl Invalid {
    /// Says what is wrong and what would be right.
    pub fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}
