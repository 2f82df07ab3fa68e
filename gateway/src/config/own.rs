//! The folder of a configuration, and the folders of this machine that guests must not get.

use std::path::Path;

use wasmgate_common::{Diagnostic, OwnPlaces};

use super::{DaprConfig, Input, Server};

/// The folder that relative paths begin at, and the gateway's own files and folders.
pub(super) struct Own<'a> {
    pub(super) folder: &'a Path,
    places: OwnPlaces,
}

impl<'a> Own<'a> {
    pub(super) fn new(folder: &'a Path, input: &Input, server: &Server, dapr: &DaprConfig) -> Self {
        let mut places = OwnPlaces::default();
        places.add("the configuration", folder, false);
        for file in input.files() {
            places.add("what the configuration is read from", file, false);
        }
        if let Some(tls) = &server.tls {
            places.add("the key of TLS", &tls.key, false);
        }
        if let Some(components) = &dapr.components {
            places.add("the folder of Dapr's component files", components, false);
        }
        places.add("the data of the building blocks", &dapr.data, false);
        // What is written there runs outside of the sandbox.
        places.add("compiled code", &server.cache, true);
        Self { folder, places }
    }

    /// Refuses a folder for guests that has any of it in it.
    pub(super) fn check(&self, folder: &Path) -> Result<(), Diagnostic> {
        self.places.check(folder)
    }
}
