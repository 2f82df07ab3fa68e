//! A package's `config`: the configuration store that its guests read with `wasi:config`, in addition to their `env`.

use wasmgate_common::{Code, Diagnostic};
use wasmgate_dapr::{Glob, Globs, Grants};

use super::reader::Section;

/// A configuration store, and the grants by which it is read: what a package may ask of the Dapr API is in its `dapr`
/// table.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigStore {
    /// The store, a component of Dapr's.
    pub store: String,
    /// The grants.
    pub grants: Grants,
}

/// Reads a package's `config`.
pub(super) fn read(package: &Section<'_>) -> Option<ConfigStore> {
    package.parsed("config", "configstore", |text| {
        let is_name = !text.contains(|c: char| c.is_whitespace() || c.is_control() || "*?/".contains(c));
        match Glob::parse(text) {
            Ok(glob) if is_name => Ok(ConfigStore {
                store: text.to_owned(),
                grants: Grants {
                    configuration: Globs::from_iter([glob]),
                    ..Grants::none()
                },
            }),
            _ => Err(Diagnostic::new(
                Code::InvalidValue,
                format!("{text:?} is no configuration store"),
                "write the name of one: \"configstore\"",
            )),
        }
    })
}
