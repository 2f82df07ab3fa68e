//! A package as the building blocks know it.

use wasmgate_dapr::{AppId, AppIdError, Globs, GrantError, Grants};

use crate::config::{GrantsConfig, PackageConfig};

/// A package's app-id and what it may reach.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Its app-id, which is its name.
    pub id: AppId,
    /// What it may reach.
    pub grants: Grants,
    granted: bool,
}

/// A package that cannot be one: configurations that were checked have none.
#[derive(Debug, thiserror::Error)]
pub enum CallerError {
    /// Its name is no app-id.
    #[error(transparent)]
    Id(#[from] AppIdError),
    /// A grant of it names nothing.
    #[error(transparent)]
    Grant(#[from] GrantError),
}

impl Caller {
    /// What the configuration says of a package.
    ///
    /// # Errors
    /// Never for a configuration that was checked.
    pub fn new(package: &PackageConfig) -> Result<Self, CallerError> {
        Ok(Self {
            id: AppId::new(package.name.as_str())?,
            grants: package
                .dapr
                .as_ref()
                .map_or_else(|| Ok(Grants::none()), grants)?,
            granted: package.dapr.is_some(),
        })
    }

    /// The app that it is, whether or not it has a grant: others may invoke it.
    pub(super) fn app(&self) -> (AppId, Grants) {
        (self.id.clone(), self.grants.clone())
    }

    /// Whether the package has a `dapr` table.
    pub fn is_granted(&self) -> bool {
        self.granted
    }
}

fn grants(config: &GrantsConfig) -> Result<Grants, GrantError> {
    let globs = |names: &[String]| Globs::new(names.iter().cloned());
    Ok(Grants {
        state: globs(&config.state)?,
        publish: globs(&config.publish)?,
        subscribe: globs(&config.subscribe)?,
        invoke: globs(&config.invoke)?,
        bindings: globs(&config.bindings)?,
        secrets: globs(&config.secrets)?,
        configuration: globs(&config.configuration)?,
        lock: globs(&config.lock)?,
        jobs: config.jobs,
        no_table: false,
    })
}
