//! Compiles code to push to a registry.

use std::path::Path;

use sha2::{Digest as _, Sha256};
use wasmgate_common::read_file;

use super::{StartError, check_packages, machine};
use crate::{
    config::{self, Environment},
    registry::{Code, MAX_COMPONENT},
};

/// Compiles a component as a gateway on this kind of machine would, in a limited process and with all checks.
///
/// # Errors
/// When the component cannot be served.
pub fn code_of(file: &Path) -> Result<Code, StartError> {
    let component = read_file(file, MAX_COMPONENT)
        .map_err(|error| machine(&format!("{} cannot be read: {error}", file.display())))?;
    let folder = tempfile::tempdir().map_err(|error| machine(&error))?;
    let file = std::path::absolute(file).map_err(|error| machine(&error))?;
    // JSON strings are valid in TOML. The digest ensures that what is compiled is what was read.
    let source = serde_json::to_string(&file).map_err(|error| machine(&error))?;
    let text = format!(
        "[server]\ncache = \"cache\"\n[limits]\nmemory = \"{MEMORY}\"\n[package.component]\nsource = {source}\n\
         sha256 = \"{}\"\n",
        hex::encode(Sha256::digest(&component))
    );
    let own = folder.path().join("push.toml");
    let config = config::parse(text.as_bytes(), &own, &Environment::default())
        .map_err(|rejected| StartError::Packages(rejected.diagnostics))?;
    let registered = check_packages(&config)?;
    let first = registered.first();
    let registered = first.ok_or_else(|| machine(&"the component was left out"))?;
    let code = registered.to_ship(&component, &file);
    code.map_err(|error| StartError::Packages(config.diagnostics(vec![error.into()])))
}

/// The memory limit: as much as any configuration could allow.
const MEMORY: &str = "4GiB";
