//! A configuration that has mistakes.

use std::path::Path;

use wasmgate_common::{Diagnostic, Diagnostics};

use super::Config;

/// A file that is no configuration: its mistakes, and what is right of it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{diagnostics}")]
pub struct Rejected {
    /// Every mistake in it.
    pub diagnostics: Diagnostics,
    /// The part of the file that is right, without the routes and packages that are wrong: good for checking its
    /// packages, not for serving. `None` when the file could not be read as a whole.
    pub sound: Option<Box<Config>>,
}

impl Rejected {
    pub(super) fn new(file: &Path, mistakes: Vec<Diagnostic>, sound: Option<Config>) -> Self {
        Self {
            diagnostics: Diagnostics::new(file, mistakes),
            sound: sound.map(Box::new),
        }
    }
}
