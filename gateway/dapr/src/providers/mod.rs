//! What is behind components: files of secrets and configuration, folders, URLs, schedules. Components consist of them,
//! and building blocks call them.

/// The most bytes of a file of resources, of secrets or of configuration: as many as one of a gateway's own may have.
pub(crate) const MAX_FILE: u64 = 64 << 20;

pub(crate) mod bindings;
pub(crate) mod configuration;
pub(crate) mod https;
pub(crate) mod secrets;
