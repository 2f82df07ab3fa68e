//! The app that a package is to the building blocks.

use wasmgate_dapr::{AppId, AppIdError, Globs, GrantError, Grants};

use crate::config::{GrantsConfig, PackageConfig};

/// A package's app-id and what it may reach.
#[derive(Debug, Clone)]
pub struct AppGrants {
    /// Its app-id, which is its name.
    pub app: AppId,
    /// What it may reach.
    pub grants: Grants,
    has_table: bool,
}

/// A package that cannot be one: configurations that were checked have none.
#[derive(Debug, thiserror::Error)]
pub enum AppGrantsError {
    /// Its name is no app-id.
    #[error(transparent)]
    Id(#[from] AppIdError),
    /// A grant of it names nothing.
    #[error(transparent)]
    Grant(#[from] GrantError),
}

impl AppGrants {
    /// Takes from the configuration what a package may reach.
    ///
    /// # Errors
    /// Never for a configuration that was checked.
    pub fn new(package: &PackageConfig) -> Result<Self, AppGrantsError> {
        Ok(Self {
            app: AppId::new(package.name.as_str())?,
            grants: package
                .dapr
                .as_ref()
                .map_or_else(|| Ok(Grants::none()), grants)?,
            has_table: package.dapr.is_some(),
        })
    }

    /// The app that it is, whether or not it has a grant: others may invoke it.
    pub fn to_pair(&self) -> (AppId, Grants) {
        (self.app.clone(), self.grants.clone())
    }

    /// Whether the package has a `dapr` table.
    pub fn has_table(&self) -> bool {
        self.has_table
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
