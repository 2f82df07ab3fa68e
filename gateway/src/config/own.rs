//! The folder of a configuration, and the folders of this machine that guests must not get.

use std::path::{Path, PathBuf};

use toml::de::DeTable;
use wasmgate_common::{Diagnostic, OwnPlaces};

use super::{DaprConfig, Input, RegistryConfig, Server};

/// The folder that relative paths begin at, and the gateway's own files and folders.
pub(super) struct Own<'a> {
    pub(super) folder: &'a Path,
    places: OwnPlaces,
}

impl<'a> Own<'a> {
    pub(super) fn new(
        folder: &'a Path,
        input: &Input,
        document: &DeTable<'_>,
        server: &Server,
        dapr: &DaprConfig,
        registry: &RegistryConfig,
    ) -> Self {
        let mut places = OwnPlaces::default();
        places.add("the configuration", folder, false);
        for file in input.files() {
            places.add("what the configuration is read from", file, false);
        }
        if let Some(tls) = &server.tls {
            places.add("the key of TLS", &tls.key, false);
        }
        for key in keys_of_packages(document) {
            places.add("a package's key of TLS", &folder.join(key), false);
        }
        let docker = registry.docker.as_ref().filter(|file| file.exists());
        let credentials = registry
            .hosts
            .values()
            .filter_map(|host| host.credentials.as_ref());
        for file in credentials.chain(docker) {
            places.add("a file of registries' credentials", file, false);
        }
        if let Some(components) = &dapr.components {
            places.add("the folder of Dapr's component files", components, false);
        }
        places.add("the data of the building blocks", &dapr.data, false);
        // What is written there runs outside of the sandbox.
        places.add("compiled code", &server.cache, true);
        Self { folder, places }
    }

    /// All of them.
    pub(super) fn into_places(self) -> OwnPlaces {
        self.places
    }

    /// Refuses a folder for guests that has any of it in it.
    pub(super) fn check(&self, folder: &Path) -> Result<(), Diagnostic> {
        self.places.check(folder)
    }
}

/// The keys that packages show to others, as they are written: no package may read another's, nor its own.
fn keys_of_packages(document: &DeTable<'_>) -> Vec<PathBuf> {
    let packages = document
        .get("package")
        .and_then(|packages| packages.get_ref().as_table());
    let keys = packages.into_iter().flatten().filter_map(|(_, package)| {
        let tls = package.get_ref().get("tls")?;
        let key = tls.get_ref().get("key")?;
        Some(PathBuf::from(key.get_ref().as_str()?))
    });
    keys.collect()
}
