//! Compiled code beside a component: a manifest of its own, which the component's manifest references by digest.
//!
//! The component's artifact stays the single layer that every tool reads, and a signature or pinned digest of its
//! manifest covers the code: only what the pusher compiled can be reached from it. The code is native and runs with all
//! rights of the gateway, so it is ignored unless one of the two is present.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::{
    download,
    error::RegistryError,
    exchange::Exchange,
    lookup,
    manifest::{Blob, Descriptor, Manifest},
    push::{blob, manifest_at},
    retry::{self, Retries},
    store::Store,
};
use crate::config::{Reference, Sha256Digest, parse_digest, show_digest};

/// The annotation of a component's manifest that lists manifests of code, by digest, separated by spaces.
const CODE: &str = "dev.wasmgate.code";

/// The empty configuration of such a manifest.
const CONFIG: (&str, &[u8]) = ("application/vnd.wasmgate.code.config.v1+json", b"{}");

/// The layers of such a manifest.
const LAYER: &str = "application/vnd.wasmgate.code.v1";

/// What code is for: annotations of its layer.
const VERSION: &str = "dev.wasmgate.code.version";
const TARGET: &str = "dev.wasmgate.code.target";
const ENGINE: &str = "dev.wasmgate.code.engine";
const FEATURES: &str = "dev.wasmgate.code.features";
const COMPILED: &str = "dev.wasmgate.code.compiled";

/// The maximum number of code manifests: one per kind of machine.
const MAX_MANIFESTS: usize = 16;

/// The maximum size of code: several times that of the largest component.
const MAX_CODE: u64 = 1 << 30;

/// What compiled code is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CodeFor {
    /// The version of the gateway.
    pub(crate) version: String,
    /// Processor and system, as a triple.
    pub(crate) target: String,
    /// The engine and its compiler settings.
    pub(crate) engine: String,
    /// Processor features that code may use, or that are available.
    pub(crate) features: BTreeSet<String>,
    /// The digest of what was compiled.
    pub(crate) compiled: Sha256Digest,
}

/// Compiled code, to be pushed with its component.
#[derive(Debug, Clone)]
pub struct Code {
    pub(crate) made_for: CodeFor,
    pub(crate) bytes: Bytes,
}

impl Code {
    /// Its target.
    pub fn target(&self) -> &str {
        &self.made_for.target
    }
}

impl CodeFor {
    /// Returns whether code for this runs where `wanted` is needed.
    fn fits(&self, wanted: &Self) -> bool {
        let is_same = |own: &str, other: &str| own == other;
        is_same(&self.version, &wanted.version)
            && is_same(&self.target, &wanted.target)
            && is_same(&self.engine, &wanted.engine)
            && self.compiled == wanted.compiled
            && self.features.is_subset(&wanted.features)
    }

    fn annotations(&self) -> BTreeMap<String, String> {
        let features: Vec<_> = self.features.iter().map(String::as_str).collect();
        [
            (VERSION, self.version.clone()),
            (TARGET, self.target.clone()),
            (ENGINE, self.engine.clone()),
            (FEATURES, features.join(" ")),
            (COMPILED, show_digest(&self.compiled)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// What a layer's code is for; `None` if an annotation is missing.
    fn of(layer: &Descriptor) -> Option<Self> {
        let text = |name: &str| layer.annotations.get(name).cloned();
        Some(Self {
            version: text(VERSION)?,
            target: text(TARGET)?,
            engine: text(ENGINE)?,
            features: text(FEATURES)?
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
            compiled: parse_digest(&text(COMPILED)?)?,
        })
    }
}

/// The annotation that references code.
pub(super) fn named(code: &[Sha256Digest]) -> Option<(String, String)> {
    let digests: Vec<_> = code.iter().map(show_digest).collect();
    (!digests.is_empty()).then(|| (CODE.to_owned(), digests.join(" ")))
}

/// The code manifests that a component's manifest references.
pub(super) fn of(manifest: &Manifest) -> Vec<Sha256Digest> {
    let named = manifest
        .annotation(CODE)
        .unwrap_or_default()
        .split_whitespace();
    named.filter_map(parse_digest).take(MAX_MANIFESTS).collect()
}

/// Pushes code beside its component, and returns the digest of its manifest.
///
/// # Errors
/// When the registry refuses it.
pub(super) async fn push(
    exchange: &Exchange<'_>,
    reference: &Reference,
    code: Code,
) -> Result<Sha256Digest, RegistryError> {
    let digest_of = |bytes: &[u8]| -> Sha256Digest { Sha256::digest(bytes).into() };
    let mut layer = Descriptor::new(
        LAYER,
        show_digest(&digest_of(&code.bytes)),
        code.bytes.len(),
    );
    layer.annotations = code.made_for.annotations();
    let (kind, config) = (CONFIG.0, Bytes::from_static(CONFIG.1));
    let of_config = Descriptor::new(kind, show_digest(&digest_of(&config)), config.len());
    for bytes in [config, code.bytes] {
        let digest = digest_of(&bytes);
        blob(exchange, reference, bytes, &digest).await?;
    }
    let manifest: Bytes = serde_json::to_vec(&Manifest::of(of_config, layer, Vec::new()))
        .map_err(|error| RegistryError::Machine(error.to_string()))?
        .into();
    let digest = digest_of(&manifest);
    // With a tag, since registries delete untagged manifests.
    let tag = format!("sha256-{}.code", hex::encode(digest));
    manifest_at(exchange, reference, &tag, &manifest, "the manifest of code").await?;
    Ok(digest)
}

/// The code that matches among these manifests, as an unlinked file; `None` if there is none.
///
/// # Errors
/// When it cannot be downloaded, or has another digest.
pub(super) async fn pull(
    exchange: &Exchange<'_>,
    store: &Store,
    (component, code): (&Reference, &[Sha256Digest]),
    wanted: &CodeFor,
) -> Result<Option<File>, RegistryError> {
    let patience = exchange.transport().patience().lookup;
    let looking = first_fitting(exchange, store, (component, code), wanted);
    let looked = lookup::within(patience, component, "a lookup of code", looking);
    let Some((reference, blob)) = looked.await? else {
        return Ok(None);
    };
    let file = download::whole(exchange, store, &reference, &blob).await?;
    let (file, path) = file.into_parts();
    let place = path.to_path_buf();
    path.close()
        .map_err(|error| RegistryError::store(place, &error))?;
    Ok(Some(file))
}

/// The first manifest with matching code, and its blob.
async fn first_fitting(
    exchange: &Exchange<'_>,
    store: &Store,
    (component, code): (&Reference, &[Sha256Digest]),
    wanted: &CodeFor,
) -> Result<Option<(Reference, Blob)>, RegistryError> {
    let mut failed = None;
    for digest in code {
        let reference = component.pinned(*digest);
        match fitting(exchange, store, &reference, wanted).await {
            Ok(Some(blob)) => return Ok(Some((reference, blob))),
            Ok(None) => {}
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(None), Err)
}

/// The blob of matching code in a manifest.
async fn fitting(
    exchange: &Exchange<'_>,
    store: &Store,
    reference: &Reference,
    wanted: &CodeFor,
) -> Result<Option<Blob>, RegistryError> {
    let found = lookup::manifest(exchange, store, reference, Retries::new(retry::BRIEF)).await?;
    let manifest = Manifest::parse(&found.bytes, reference)?;
    let fitting = manifest.layers.iter().find(|layer| {
        let made_for = CodeFor::of(layer).filter(|_| layer.media_type == LAYER);
        made_for.is_some_and(|made_for| made_for.fits(wanted))
    });
    match fitting.and_then(Descriptor::blob) {
        Some(blob) if blob.bytes > MAX_CODE => Err(RegistryError::TooLarge {
            what: format!("compiled code at {reference}"),
            bytes: blob.bytes,
            limit: MAX_CODE,
        }),
        fitting => Ok(fitting),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made_for() -> CodeFor {
        CodeFor {
            version: "1.2.3".to_owned(),
            target: "x86_64-unknown-linux-gnu".to_owned(),
            engine: "pool 0123".to_owned(),
            features: ["avx", "sse3"].map(str::to_owned).into(),
            compiled: [7; 32],
        }
    }

    #[test]
    fn what_code_is_for_is_told_by_its_layer_and_read_from_it() {
        let mut layer = Descriptor::new(LAYER, show_digest(&[1; 32]), 1);
        layer.annotations = made_for().annotations();
        assert_eq!(CodeFor::of(&layer), Some(made_for()));
        for name in [VERSION, TARGET, ENGINE, FEATURES, COMPILED] {
            let mut layer = layer.clone();
            layer.annotations.remove(name);
            assert_eq!(CodeFor::of(&layer), None, "{name}");
        }
    }

    #[test]
    fn code_fits_what_is_the_same_and_a_processor_that_has_more() {
        let code = made_for();
        assert!(code.fits(&code));
        let mut more = code.clone();
        more.features.insert("avx512f".to_owned());
        assert!(code.fits(&more) && !more.fits(&code));
        let others: [fn(&mut CodeFor); 4] = [
            |code| code.version.push('1'),
            |code| code.target.push('1'),
            |code| code.engine.push('1'),
            |code| code.compiled = [8; 32],
        ];
        for change in others {
            let mut other = code.clone();
            change(&mut other);
            assert!(!code.fits(&other), "{other:?}");
        }
    }

    #[test]
    fn a_manifest_names_a_few_manifests_of_code_and_no_more_are_looked_at() {
        let digests: Vec<Sha256Digest> = (0..40).map(|at| [at; 32]).collect();
        let annotation = named(&digests[..3]).unwrap();
        let blob = || Descriptor::new("x", show_digest(&[1; 32]), 1);
        let manifest = Manifest::of(blob(), blob(), vec![annotation]);
        assert_eq!(of(&manifest), digests[..3]);
        let manifest = Manifest::of(blob(), blob(), vec![named(&digests).unwrap()]);
        assert_eq!(of(&manifest).len(), MAX_MANIFESTS);
        let odd = Manifest::of(
            blob(),
            blob(),
            vec![(CODE.to_owned(), "sha256:12 x ../..".to_owned())],
        );
        assert!(of(&odd).is_empty());
        assert_eq!(named(&[]), None);
    }
}
