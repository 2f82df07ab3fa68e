//! Errors of opening the embedded runtime.

use wasmgate_common::{Code, Diagnostic, Diagnostics};

use crate::store::DataError;

/// A failure to open the embedded runtime.
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
    #[error(transparent)]
    Components(Diagnostics),
}

impl From<OpenError> for Vec<Diagnostic> {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Data(error) => vec![error.diagnostic()],
            OpenError::Tls(_) => {
                let help = "install a build whose TLS works on this machine";
                vec![Diagnostic::new(Code::Unsupported, error.to_string(), help)]
            }
            OpenError::Components(mistakes) => mistakes.into_iter().collect(),
        }
    }
}
