//! A component, or a WASI 0.1 program, as an OCI artifact: CNCF's "Wasm OCI artifact layout", which `wkg` and other
//! hosts read and write.

use std::time::SystemTime;

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use wasmparser::{Encoding, ExternalKind, Parser, Payload};

use super::{
    error::RegistryError,
    manifest::{Descriptor, Manifest, TITLE, WASIP1, WASIP2, WASM_CONFIG, WASM_LAYER},
};
use crate::config::{Reference, Sha256Digest, show_digest};

/// The artifact: three blobs, two of which the manifest references.
pub(super) struct Artifact {
    pub(super) component: Sha256Digest,
    pub(super) config: Vec<u8>,
    pub(super) config_digest: Sha256Digest,
    pub(super) manifest: Vec<u8>,
    pub(super) digest: Sha256Digest,
}

/// The configuration.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    created: String,
    architecture: &'static str,
    os: &'static str,
    layer_digests: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<World>,
}

/// The component's imports and exports; `target` is its world, if known.
#[derive(Default, Serialize)]
struct World {
    exports: Vec<String>,
    imports: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
}

impl Artifact {
    /// The artifact of a component, or of a WASI 0.1 program, created at `made`: deterministic for a file.
    ///
    /// # Errors
    /// When it is neither.
    pub(super) fn new(
        reference: &Reference,
        component: &[u8],
        made: SystemTime,
        annotations: Vec<(String, String)>,
    ) -> Result<Self, RegistryError> {
        let world = world(component).map_err(|what| RegistryError::NotAComponent {
            reference: "the file".to_owned(),
            what: format!("{what}, and {reference} is to be one"),
        })?;
        let digest: Sha256Digest = Sha256::digest(component).into();
        let config = json(&Config {
            created: humantime::format_rfc3339_seconds(made).to_string(),
            architecture: "wasm",
            os: match world {
                Some(_) => WASIP2,
                None => WASIP1,
            },
            layer_digests: vec![show_digest(&digest)],
            component: world,
        })?;
        let config_digest: Sha256Digest = Sha256::digest(&config).into();
        let mut layer = Descriptor::new(WASM_LAYER, show_digest(&digest), component.len());
        let name = reference.repository().rsplit('/').next();
        let name = format!("{}.wasm", name.unwrap_or_default());
        layer.annotations.insert(TITLE.to_owned(), name);
        let manifest = json(&Manifest::of(
            Descriptor::new(WASM_CONFIG, show_digest(&config_digest), config.len()),
            layer,
            annotations,
        ))?;
        Ok(Self {
            component: digest,
            digest: Sha256::digest(&manifest).into(),
            config,
            config_digest,
            manifest,
        })
    }
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, RegistryError> {
    serde_json::to_vec(value).map_err(|error| RegistryError::Machine(error.to_string()))
}

/// The entry point of a WASI 0.1 program.
const START: &str = "_start";

/// The imports and exports of a component; `None` for a core module, which must be a program.
fn world(component: &[u8]) -> Result<Option<World>, String> {
    let mut world = World::default();
    let (mut depth, mut is_module, mut is_program) = (0_usize, false, false);
    if !component.starts_with(b"\0asm") {
        return Err("it is no WebAssembly".to_owned());
    }
    for payload in Parser::new(0).parse_all(component) {
        match payload.map_err(|error| format!("it is broken: {error}"))? {
            Payload::Version { encoding, .. } => {
                is_module |= depth == 0 && encoding == Encoding::Module;
                depth += 1;
            }
            Payload::ExportSection(exports) if is_module => {
                for export in exports {
                    let export = export.map_err(|error| error.to_string())?;
                    is_program |= export.name == START && export.kind == ExternalKind::Func;
                }
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(imports) if depth == 1 => {
                for import in imports {
                    let import = import.map_err(|error| error.to_string())?;
                    world.imports.push(import.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(exports) if depth == 1 => {
                for export in exports {
                    let export = export.map_err(|error| error.to_string())?;
                    world.exports.push(export.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    match (is_module, is_program) {
        (true, false) => Err(format!(
            "it is a core module and no program, which exports `{START}`"
        )),
        (true, true) => Ok(None),
        (false, _) => Ok(Some(world)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn an_artifact_is_what_the_layout_says_and_the_same_for_the_same_file() {
        let component = wat::parse_str(
            r#"(component
                (import "acme:a/b@1.0.0" (instance))
                (component (import "inner" (func)))
                (instance $i)
                (export "wasi:http/incoming-handler@0.2.0" (instance $i)))"#,
        )
        .unwrap();
        let reference = Reference::parse("oci://registry.example.com/name:1").unwrap();
        let make = || {
            Artifact::new(
                &reference,
                &component,
                UNIX_EPOCH,
                vec![("a".to_owned(), "b".to_owned())],
            )
        };
        let artifact = make().unwrap();
        let config: serde_json::Value = serde_json::from_slice(&artifact.config).unwrap();
        let digest = show_digest(&artifact.component);
        assert_eq!(
            config,
            serde_json::json!({"created": "1970-01-01T00:00:00Z", "architecture": "wasm", "os": "wasip2",
                "layerDigests": [digest],
                "component": {"exports": ["wasi:http/incoming-handler@0.2.0"], "imports": ["acme:a/b@1.0.0"]}})
        );
        let manifest: serde_json::Value = serde_json::from_slice(&artifact.manifest).unwrap();
        assert_eq!(manifest["schemaVersion"], 2);
        assert_eq!(
            manifest["mediaType"],
            "application/vnd.oci.image.manifest.v1+json"
        );
        assert_eq!(
            manifest["config"]["mediaType"],
            "application/vnd.wasm.config.v0+json"
        );
        assert_eq!(manifest["layers"][0]["mediaType"], "application/wasm");
        assert_eq!(manifest["layers"][0]["digest"], digest);
        assert_eq!(manifest["annotations"]["a"], "b");
        assert_eq!(make().unwrap().digest, artifact.digest);
    }

    #[test]
    fn a_program_of_wasi_0_1_says_so_and_nothing_of_a_component() {
        let program = wat::parse_str(r#"(module (func (export "_start")))"#).unwrap();
        let reference = Reference::parse("oci://registry.example.com/name:1").unwrap();
        let artifact = Artifact::new(&reference, &program, UNIX_EPOCH, Vec::new()).unwrap();
        let config: serde_json::Value = serde_json::from_slice(&artifact.config).unwrap();
        let digest = show_digest(&artifact.component);
        assert_eq!(
            config,
            serde_json::json!({"created": "1970-01-01T00:00:00Z", "architecture": "wasm", "os": "wasip1",
                "layerDigests": [digest]})
        );
    }

    #[test]
    fn what_is_neither_a_component_nor_a_program_is_not_pushed() {
        let reference = Reference::parse("oci://registry.example.com/name:1").unwrap();
        for bytes in [&b""[..], b"MZ", b"\0asm\x01\0\0\0"] {
            let made = Artifact::new(&reference, bytes, UNIX_EPOCH, Vec::new());
            assert!(
                matches!(made, Err(RegistryError::NotAComponent { .. })),
                "{bytes:?}"
            );
        }
    }
}
