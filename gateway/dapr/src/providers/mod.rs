//! The things behind components: files of secrets and configuration, folders, web addresses, schedules. Components are
//! made of them, building blocks call them.

pub(crate) mod bindings;
pub(crate) mod configuration;
pub(crate) mod https;
pub(crate) mod secrets;
