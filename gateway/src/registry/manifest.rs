//! Manifests: which blob is the component.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::error::RegistryError;
use crate::config::{Reference, Sha256Digest, parse_digest};

/// The most bytes of a manifest: what registries take at least, and most take at the most (OCI distribution, "Pushing
/// manifests").
pub(super) const MAX_MANIFEST: u64 = 4 << 20;

/// The most bytes of a component: several times an interpreter with its libraries.
pub(crate) const MAX_COMPONENT: u64 = 512 << 20;

/// A manifest of one thing.
pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Everything that is asked for under a reference.
pub(super) const ACCEPTED: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
                                   application/vnd.docker.distribution.manifest.v2+json, \
                                   application/vnd.docker.distribution.manifest.list.v2+json";

/// The configuration of a Wasm artifact (CNCF's Wasm OCI artifact layout).
pub(super) const WASM_CONFIG: &str = "application/vnd.wasm.config.v0+json";

/// The layer of a Wasm artifact.
pub(super) const WASM_LAYER: &str = "application/wasm";

/// The layers that are components: as the layout has it, and as tools before it had it.
const COMPONENT_LAYERS: [&str; 2] = [WASM_LAYER, "application/vnd.wasm.content.layer.v1+wasm"];

/// The layers of images, by how they are packed.
const IMAGE_LAYERS: [(&str, Packing); 6] = [
    ("application/vnd.oci.image.layer.v1.tar", Packing::None),
    ("application/vnd.oci.image.layer.v1.tar+gzip", Packing::Gzip),
    ("application/vnd.oci.image.layer.v1.tar+zstd", Packing::Zstd),
    (
        "application/vnd.docker.image.rootfs.diff.tar",
        Packing::None,
    ),
    (
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        Packing::Gzip,
    ),
    (
        "application/vnd.docker.image.rootfs.diff.tar.zstd",
        Packing::Zstd,
    ),
];

/// The most layers of an image: what container engines take.
const MAX_LAYERS: usize = 128;

/// The most bytes of all layers of an image, packed: they are kept on disk beside the component.
const MAX_IMAGE: u64 = 1 << 30;

/// The system and the architecture of images for this machine, as Go names them.
const HERE: (&str, &str) = (
    "linux",
    if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    },
);

/// The architecture of a Wasm artifact in an index.
const WASM: &str = "wasm";

/// The system of a program of WASI 0.1.
pub(super) const WASIP1: &str = "wasip1";

/// The annotation by which tools such as `oras` name the file that they make of a layer; without it they make none (OCI
/// image specification, "Pre-Defined Annotation Keys").
pub(super) const TITLE: &str = "org.opencontainers.image.title";

/// The system of a component in an index.
pub(super) const WASIP2: &str = "wasip2";

/// A blob as a manifest names it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    pub(super) media_type: String,
    pub(super) digest: String,
    pub(super) size: u64,
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub(super) annotations: std::collections::BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    platform: Option<Platform>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Platform {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
}

/// What a manifest says, whichever kind it is of.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    schema_version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<Descriptor>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) layers: Vec<Descriptor>,
    /// Of an index.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    manifests: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    annotations: std::collections::BTreeMap<String, String>,
}

/// A blob that can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Blob {
    pub(super) digest: Sha256Digest,
    pub(super) bytes: u64,
}

/// A layer of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layer {
    pub(super) blob: Blob,
    pub(super) packing: Packing,
}

/// How the archive of a layer is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    /// Not at all.
    None,
    /// By gzip.
    Gzip,
    /// By Zstandard.
    Zstd,
}

/// Where a manifest leads.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Leads {
    /// To the layers of an image, from the lowest up, in which the reference's file is.
    Image(Vec<Layer>),
    /// To the component.
    Component(Blob),
    /// To another manifest, since it is an index.
    Manifest(Sha256Digest),
}

impl Descriptor {
    pub(super) fn new(media_type: &str, digest: String, size: usize) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size: size as u64,
            annotations: Default::default(),
            platform: None,
        }
    }

    /// The blob, if its digest is of a kind that is known here.
    pub(super) fn blob(&self) -> Option<Blob> {
        Some(Blob {
            digest: parse_digest(&self.digest)?,
            bytes: self.size,
        })
    }
}

impl Manifest {
    /// The manifest of one component.
    pub(super) fn of(config: Descriptor, layer: Descriptor, annotations: Vec<(String, String)>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(MANIFEST.to_owned()),
            config: Some(config),
            layers: vec![layer],
            manifests: Vec::new(),
            annotations: annotations.into_iter().collect(),
        }
    }

    /// What it says of itself under a name.
    pub(super) fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.get(name).map(String::as_str)
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn parse(bytes: &[u8], reference: &Reference) -> Result<Self, RegistryError> {
        let manifest: Self = serde_json::from_slice(bytes)
            .map_err(|error| no_component(reference, format!("its manifest cannot be read: {error}")))?;
        if manifest.schema_version != 2 {
            let what = format!(
                "its manifest is of version {}, not 2",
                manifest.schema_version
            );
            return Err(no_component(reference, what));
        }
        Ok(manifest)
    }

    /// Where it leads to the component of `reference`.
    ///
    /// # Errors
    /// When it has none, or several, or too large a one.
    pub(super) fn leads(&self, reference: &Reference) -> Result<Leads, RegistryError> {
        if !self.manifests.is_empty() && (self.config.is_some() || !self.layers.is_empty()) {
            // Others may read it as the other one (CVE-2021-41190).
            return Err(no_component(
                reference,
                "it is an index and a manifest at once".to_owned(),
            ));
        }
        if !self.manifests.is_empty() {
            return self.for_wasm(reference).map(Leads::Manifest);
        }
        if reference.file().is_some() {
            return self.image(reference).map(Leads::Image);
        }
        self.component(reference).map(Leads::Component)
    }

    /// The one layer that is a component.
    fn component(&self, reference: &Reference) -> Result<Blob, RegistryError> {
        let is_component = |layer: &&Descriptor| COMPONENT_LAYERS.contains(&layer.media_type.as_str());
        let mut components = self.layers.iter().filter(is_component);
        let (first, second) = (components.next(), components.next());
        let layer = match (first, second) {
            (Some(layer), None) => layer,
            (Some(_), Some(_)) => {
                let what = format!("it has {} layers, and one is expected", self.layers.len());
                return Err(no_component(reference, what));
            }
            (None, _) => {
                let found = self.layers.iter().map(|layer| &layer.media_type);
                let found: std::collections::BTreeSet<_> = found.take(8).collect();
                let config = self.config.as_ref().map(|config| &config.media_type);
                let mut what =
                    format!("it has no layer of {WASM_LAYER}, but {found:?}, and is configured by {config:?}");
                let named = self.layers.iter().find_map(|layer| {
                    let title = layer.annotations.get(TITLE)?;
                    title.ends_with(".wasm").then_some(title)
                });
                if let Some(title) = named {
                    what += &format!("; a layer is called {title:?}: push it as {WASM_LAYER}");
                } else if self.layers.iter().any(|layer| kind_of(layer).is_some()) {
                    what += "; of an image, name the file behind #, as in registry/name:tag#hello.wasm";
                }
                return Err(no_component(reference, what));
            }
        };
        let blob = layer.blob().ok_or_else(|| {
            no_component(
                reference,
                format!("its layer has the digest {:?}", layer.digest),
            )
        })?;
        if blob.bytes > MAX_COMPONENT {
            return Err(RegistryError::TooLarge {
                what: format!("the component of {reference}"),
                bytes: blob.bytes,
                limit: MAX_COMPONENT,
            });
        }
        Ok(blob)
    }

    /// The layers of an image.
    fn image(&self, reference: &Reference) -> Result<Vec<Layer>, RegistryError> {
        let mut bytes = 0_u64;
        let layers = self.layers.iter().take(MAX_LAYERS + 1).map(|layer| {
            bytes = bytes.saturating_add(layer.size);
            let kind = kind_of(layer);
            match (kind, layer.blob()) {
                (Some(packing), Some(blob)) => Ok(Layer { blob, packing }),
                (None, _) => {
                    let what = format!(
                        "a layer is {:?}, and tar alone, with gzip or with zstd is read",
                        layer.media_type
                    );
                    Err(no_component(reference, what))
                }
                (_, None) => Err(no_component(
                    reference,
                    format!("its layer has the digest {:?}", layer.digest),
                )),
            }
        });
        let layers = layers.collect::<Result<Vec<_>, _>>()?;
        let too_large = |what: &str, found, limit| RegistryError::TooLarge {
            what: format!("{what} of {reference}"),
            bytes: found,
            limit,
        };
        if layers.len() > MAX_LAYERS {
            return Err(too_large(
                "the list of layers",
                self.layers.len() as u64,
                MAX_LAYERS as u64,
            ));
        }
        if bytes > MAX_IMAGE {
            return Err(too_large("the layers", bytes, MAX_IMAGE));
        }
        Ok(layers)
    }

    /// The entry of an index that is for Wasm; or for this machine, if a file of an image is asked for.
    fn for_wasm(&self, reference: &Reference) -> Result<Sha256Digest, RegistryError> {
        let of = |entry: &Descriptor| match &entry.platform {
            Some(platform) => (platform.architecture.clone(), platform.os.clone()),
            None => Default::default(),
        };
        let for_wasm: Vec<_> = self
            .manifests
            .iter()
            .filter(|entry| of(entry).0 == WASM)
            .collect();
        let chosen = match (for_wasm.as_slice(), self.manifests.as_slice()) {
            ([one], _) => Some(*one),
            ([], [one]) if one.platform.is_none() => Some(one),
            ([], all) if reference.file().is_some() => {
                let (os, architecture) = HERE;
                let here = (architecture.to_owned(), os.to_owned());
                all.iter().find(|entry| of(entry) == here)
            }
            (several, _) => several.iter().copied().find(|entry| of(entry).1 == WASIP2),
        };
        let digest = chosen.and_then(|entry| parse_digest(&entry.digest));
        digest.ok_or_else(|| {
            let platforms = self.manifests.iter().take(16).map(|entry| {
                let (architecture, os) = of(entry);
                format!("{os}/{architecture}")
            });
            let platforms: Vec<_> = platforms.collect();
            let what = format!(
                "it is an index of {}, and of no {WASIP2}/{WASM}",
                platforms.join(", ")
            );
            no_component(reference, what)
        })
    }
}

/// How an image's layer is packed; `None` for what is no layer of an image that is read here.
fn kind_of(layer: &Descriptor) -> Option<Packing> {
    let known = IMAGE_LAYERS
        .iter()
        .find(|(name, _)| *name == layer.media_type);
    known.map(|(_, packing)| *packing)
}

fn no_component(reference: &Reference, what: String) -> RegistryError {
    RegistryError::NotAComponent {
        reference: reference.to_string(),
        what,
    }
}
