//! `wasmgate new` and `wasmgate add`: new packages from templates.

mod add;
mod files;
mod name;
mod project;
mod sdk;
mod template;
mod texts;
mod tools;

pub(crate) use add::Add;
pub(crate) use project::New;
