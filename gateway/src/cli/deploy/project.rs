//! A project, with its configuration rewritten for pods.

use std::{collections::BTreeMap, fs, path::Path};

use toml::Table;
use wasmgate::config::{Config, DaprMode};
use wasmgate_common::Code;
use wasmgate_dapr::sidecar::Topology;

use super::{super::Exit, document, names, options::Options, reading::Reading};

/// The pod's network, where the Service leads to.
const LISTEN: &str = "0.0.0.0:3000";
/// The kubelet's probes come from outside of the pod.
const ADMIN: &str = "0.0.0.0:9090";
/// Compiled code: below the volume, since the gateway owns and closes its folder.
const CACHE: &str = "/var/cache/wasmgate/code";
/// The embedded building blocks' data, below the volume.
const DATA: &str = "/var/lib/wasmgate/dapr";
/// The component files' volume.
pub(super) const COMPONENTS: &str = "/etc/dapr/components";
/// Where a sidecar calls back, and nobody outside of the pod.
const APP: &str = "127.0.0.1:3001";

/// A checked project.
pub(super) struct Project {
    /// The name of its objects.
    pub(super) name: String,
    /// What the gateway in the pod reads.
    pub(super) toml: String,
    /// Component files by their names.
    pub(super) components: BTreeMap<String, String>,
    /// Where its building blocks are.
    pub(super) blocks: Blocks,
    /// Whether packages, and so compiled code, are in the gateway's image.
    pub(super) is_in_image: bool,
    /// Seconds that requests in flight have to finish.
    pub(super) drain: u64,
}

/// The place of the building blocks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Blocks {
    /// No package uses them.
    Unused,
    /// In the gateway, which has a volume.
    Embedded,
    /// In a sidecar, to which the gateway is this app.
    Sidecar {
        /// The app-id.
        app: String,
    },
}

impl Project {
    /// Reads what a configuration says beside its checked values.
    ///
    /// # Errors
    /// With everything that no pod could have.
    pub(super) fn read(config: &Config, options: &Options) -> Result<Self, Exit> {
        let name = match &options.name {
            Some(name) => name.clone(),
            None => folder_name(&config.file)?,
        };
        let mut document = document::read(&config.input)?;
        let mut reading = Reading {
            config,
            options,
            folder: config.file.parent().unwrap_or(Path::new("")),
            mistakes: Vec::new(),
        };
        let blocks = blocks(&mut reading, &name);
        let components = match blocks {
            Blocks::Embedded => reading.components()?,
            Blocks::Unused | Blocks::Sidecar { .. } => BTreeMap::new(),
        };
        reading.packages(&mut document);
        reading.files(&mut document);
        reading.folders(&mut document, blocks == Blocks::Embedded);
        reading.environment(&mut document);
        set_server(&mut document);
        set_dapr(&mut document, &blocks, !components.is_empty());
        if !reading.mistakes.is_empty() {
            return Err(Exit::usage(
                config.diagnostics(reading.mistakes).to_string(),
            ));
        }
        Ok(Self {
            name,
            toml: toml::to_string(&document).map_err(|error| Exit::data(&error))?,
            components,
            blocks,
            is_in_image: options.files.is_none()
                && config
                    .packages
                    .iter()
                    .any(|package| package.source.file().is_some()),
            drain: config
                .server
                .drain_timeout
                .as_millis()
                .div_ceil(1000)
                .try_into()
                .unwrap_or(u64::MAX),
        })
    }

    /// Returns whether its pod has data, so that there is one.
    pub(super) fn has_data(&self) -> bool {
        self.blocks == Blocks::Embedded
    }

    /// Returns whether a sidecar stands beside the gateway.
    pub(super) fn has_sidecar(&self) -> bool {
        matches!(self.blocks, Blocks::Sidecar { .. })
    }
}

/// The name of the folder that the file is in.
fn folder_name(file: &Path) -> Result<String, Exit> {
    let whole = fs::canonicalize(file).map_err(|error| Exit::data(&error))?;
    let folder = whole.parent().and_then(Path::file_name).unwrap_or_default();
    let folder = folder.to_string_lossy();
    names::application(&folder).map_err(|why| {
        Exit::usage(format!(
            "error: the folder's name {folder:?} can be no name in Kubernetes: {why}\n  help: give one by --name"
        ))
    })
}

/// Finds the place of the building blocks; several pods cannot share embedded ones.
fn blocks(reading: &mut Reading<'_>, name: &str) -> Blocks {
    let options = reading.options;
    let is_sidecar =
        options.dapr || reading.config.dapr.mode == DaprMode::Sidecar && reading.config.uses_building_blocks();
    if is_sidecar {
        let app = match &reading.config.dapr.topology {
            Topology::Dedicated(app) => app.to_string(),
            Topology::Shared => name.to_owned(),
        };
        return Blocks::Sidecar { app };
    }
    if !reading.config.uses_building_blocks() {
        return Blocks::Unused;
    }
    if options.max_replicas.is_some() || options.replicas.is_some_and(|replicas| replicas > 1) {
        let message = "embedded building blocks are one process's, so there is one pod";
        let help = "leave --replicas and --max-replicas out, or give --dapr for a sidecar with stores that are shared";
        reading.refuse("dapr.mode", Code::Conflict, message, help);
    }
    Blocks::Embedded
}

fn set_server(document: &mut Table) {
    if let Some(server) = document::section(document, "server") {
        for (key, value) in [("listen", LISTEN), ("admin", ADMIN), ("cache", CACHE)] {
            server.insert(key.to_owned(), value.into());
        }
    }
}

fn set_dapr(document: &mut Table, blocks: &Blocks, has_components: bool) {
    let Some(dapr) = document::section(document, "dapr") else {
        return;
    };
    let mut set = |key: &str, value: Option<&str>| {
        dapr.remove(key);
        dapr.extend(value.map(|value| (key.to_owned(), value.into())));
    };
    let is_embedded = *blocks == Blocks::Embedded;
    set("data", is_embedded.then_some(DATA));
    set(
        "components",
        (is_embedded && has_components).then_some(COMPONENTS),
    );
    match blocks {
        Blocks::Embedded => {}
        // There is nobody to call.
        Blocks::Unused => {
            set("mode", None);
            set("listen", None);
        }
        Blocks::Sidecar { .. } => {
            set("mode", Some("sidecar"));
            set("listen", Some(APP));
            // The injector tells it.
            set("sidecar", None);
        }
    }
    if dapr.is_empty() {
        document.remove("dapr");
    }
}
