//! The cache as an operator sees it: its entries, and who uses them.

use std::{collections::BTreeSet, sync::Arc};

use sha2::{Digest as _, Sha256};
use wasmgate_common::read_file;

use super::{StartError, load, metrics};
use crate::{
    config::{Config, PackageConfig, Source},
    package::{self, Cached, Loader, PackageError, Uses},
    registry::MAX_COMPONENT,
};

/// All entries of the first configuration's cache, with the packages of all configurations that use them; sorted by
/// kind, the largest first.
///
/// # Errors
/// When the cache or a component cannot be read.
pub fn cached(configs: &[Config]) -> Result<Vec<Cached>, StartError> {
    let Some(config) = configs
        .first()
        .filter(|config| config.server.cache.exists())
    else {
        return Ok(Vec::new());
    };
    Ok(package::list(&config.server.cache, &uses(configs)?))
}

/// Removes entries that neither a package of these configurations nor a running gateway uses. Returns the removed and
/// the remaining ones.
///
/// # Errors
/// When the cache or a component cannot be read, or a file cannot be removed.
pub fn prune(configs: &[Config]) -> Result<(Vec<Cached>, Vec<Cached>), StartError> {
    let Some(config) = configs
        .first()
        .filter(|config| config.server.cache.exists())
    else {
        return Ok((Vec::new(), Vec::new()));
    };
    let uses = uses(configs)?;
    package::prune(&config.server.cache, &uses).map_err(|error| unusable(config, error))
}

fn uses(configs: &[Config]) -> Result<Uses, StartError> {
    let mut uses = Uses::default();
    for config in configs {
        let loader = load::loader(config, &Arc::new(metrics()?))?;
        uses.engines
            .extend(loader.keys().map_err(|error| unusable(config, error))?);
        for package in &config.packages {
            add(&mut uses, &loader, package).map_err(|error| {
                let mistake = config.at_source(package, error.into());
                StartError::Packages(config.diagnostics(vec![mistake]))
            })?;
        }
    }
    Ok(uses)
}

/// Adds the existing entries that a package uses: one that is not built or pulled yet has none.
fn add(uses: &mut Uses, loader: &Loader, package: &PackageConfig) -> Result<(), PackageError> {
    let name = || BTreeSet::from([package.name.to_string()]);
    let components: Vec<String> = match &package.source {
        Source::File(path) => match read_file(path, MAX_COMPONENT) {
            Ok(bytes) => vec![hex::encode(Sha256::digest(bytes))],
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                let path = path.clone();
                return Err(PackageError::Unreadable { path, error });
            }
        },
        Source::Registry(reference) => {
            let needed = loader.registry().needed(reference, None);
            for file in needed.files {
                uses.files.entry(file).or_default().extend(name());
            }
            needed.blobs.iter().map(hex::encode).collect()
        }
    };
    for component in components {
        let (component, files) = loader.compiled_of(package, component);
        for file in files {
            uses.files.entry(file).or_default().extend(name());
        }
        uses.components.entry(component).or_default().extend(name());
    }
    Ok(())
}

fn unusable(config: &Config, error: PackageError) -> StartError {
    let mistake = config.at_key("server.cache", error.into());
    StartError::Cache(config.diagnostics(vec![mistake]))
}
