//! Failures of opening the embedded runtime.

use crate::{components::ComponentError, store::DataError};

/// Why the embedded runtime cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The data folder cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The client for HTTP bindings cannot be made.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[source] rustls::Error),
    /// All mistakes in the resource YAML.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Components(Vec<ComponentError>),
}
