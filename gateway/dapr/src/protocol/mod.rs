//! Dapr's HTTP API: operations, paths, bodies and responses. The embedded runtime and the client of a sidecar use the
//! same parser, so that what is checked is what is done.

pub(crate) mod body;
pub(crate) mod message;
pub(crate) mod metadata;
mod needed_grants;
pub(crate) mod operation;
mod request;
pub(crate) mod trace;

pub use request::{ApiRequest, OperationName};

/// The header of the token that callers present, and that a sidecar presents to apps.
pub(crate) const API_TOKEN: &str = "dapr-api-token";
