//! Signatures by cosign with a key: beside a manifest, at the tag `sha256-DIGEST.sig`, a list of small documents
//! ("simple signing") that name its digest, each with an ECDSA signature (P-256, SHA-256).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::SignatureScheme;
use serde::Deserialize;

use super::{
    download,
    error::RegistryError,
    exchange::Exchange,
    lookup::{self, Found},
    manifest::{Blob, Manifest},
    retry::{self, Retries},
    store::Store,
};
use crate::config::{Reference, Sha256Digest, VerifyKey, parse_digest};

/// The annotation with a layer's signature.
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

/// The media type of the documents.
const DOCUMENT: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

/// The maximum size of a document.
const MAX_DOCUMENT: u64 = 64 << 10;

/// The maximum number of signatures of a manifest.
const MAX_SIGNATURES: usize = 64;

/// A signed document (containers/image, "atomic container signature").
#[derive(Deserialize)]
struct Document {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

/// The tag of a manifest's signatures, in its repository.
pub(super) fn tag(manifest: &Sha256Digest) -> String {
    format!("sha256-{}.sig", hex::encode(manifest))
}

/// Checks that a manifest is signed by a key.
///
/// # Errors
/// When it is not, or when that cannot be determined.
pub(super) async fn check(
    exchange: &Exchange<'_>,
    store: &Store,
    reference: &Reference,
    manifest: Sha256Digest,
    key: &VerifyKey,
) -> Result<(), RegistryError> {
    let tag = reference.tagged(&self::tag(&manifest));
    let unsigned = |why: String| RegistryError::Unsigned {
        reference: reference.pinned(manifest).to_string(),
        key: key.file().to_owned(),
        why,
    };
    // A verified signature stays valid: the registry is not asked again.
    if let Some(seen) = store.seen(&tag)
        && let Some(found) = lookup::stored(store, seen)
        && signed(None, store, &tag, &found, manifest, key)
            .await
            .is_ok()
    {
        return Ok(());
    }
    let found = match lookup::manifest(exchange, store, &tag, Retries::new(retry::PATIENT)).await {
        Ok(found) => found,
        Err(RegistryError::NotFound { .. }) => return Err(unsigned("there is no signature".to_owned())),
        Err(error) => return Err(error),
    };
    // For all documents together, since there may be many.
    let patience = exchange.transport().patience().lookup;
    let looking = async { Ok(signed(Some(exchange), store, &tag, &found, manifest, key).await) };
    let looked = lookup::within(patience, reference, "looking for a signature", looking);
    match looked.await? {
        Ok(()) => store.see(&tag, &found.digest),
        Err(Unfit::Other(error)) => Err(error),
        Err(Unfit::Unsigned(why)) => Err(unsigned(why)),
    }
}

enum Unfit {
    Unsigned(String),
    Other(RegistryError),
}

/// Finds a signature by the key in a list.
async fn signed(
    exchange: Option<&Exchange<'_>>,
    store: &Store,
    tag: &Reference,
    list: &Found,
    manifest: Sha256Digest,
    key: &VerifyKey,
) -> Result<(), Unfit> {
    let list = Manifest::parse(&list.bytes, tag).map_err(Unfit::Other)?;
    let documents = list
        .layers
        .iter()
        .filter(|layer| layer.media_type == DOCUMENT);
    let mut why = "there is no signature".to_owned();
    for layer in documents.take(MAX_SIGNATURES) {
        let signature = layer.annotations.get(SIGNATURE);
        let signature = signature.and_then(|text| STANDARD.decode(text).ok());
        let (Some(signature), Some(blob)) = (signature, layer.blob()) else {
            continue;
        };
        if blob.bytes > MAX_DOCUMENT {
            continue;
        }
        let Some(document) = document(exchange, store, tag, &blob)
            .await
            .map_err(Unfit::Other)?
        else {
            continue;
        };
        match verify(&document, &signature, manifest, key) {
            Ok(()) => return Ok(()),
            Err(reason) => reason.clone_into(&mut why),
        }
    }
    Err(Unfit::Unsigned(why))
}

async fn document(
    exchange: Option<&Exchange<'_>>,
    store: &Store,
    tag: &Reference,
    blob: &Blob,
) -> Result<Option<Vec<u8>>, RegistryError> {
    if let Some(exchange) = exchange
        && !store.has(&blob.digest)
    {
        download::blob(exchange, store, tag, blob).await?;
    }
    Ok(store.read(&blob.digest, MAX_DOCUMENT))
}

/// Verifies one signature, and that it signs this manifest.
fn verify(document: &[u8], signature: &[u8], manifest: Sha256Digest, key: &VerifyKey) -> Result<(), &'static str> {
    let provider = rustls::crypto::ring::default_provider();
    let known = provider.signature_verification_algorithms.mapping;
    let ours = known
        .iter()
        .find(|(scheme, _)| *scheme == SignatureScheme::ECDSA_NISTP256_SHA256);
    // In TLS 1.2 the scheme does not determine the curve; ours is P-256, and others reject its points.
    let mut ours = ours
        .into_iter()
        .flat_map(|(_, algorithms)| algorithms.iter());
    if !ours.any(|algorithm| {
        algorithm
            .verify_signature(key.point(), document, signature)
            .is_ok()
    }) {
        return Err("its signatures are by other keys");
    }
    let said: Document = serde_json::from_slice(document).map_err(|_| "what is signed is no document of cosign's")?;
    let critical = said.critical;
    if critical.kind != "cosign container image signature" && critical.kind != "atomic container signature" {
        return Err("what is signed is no image");
    }
    match parse_digest(&critical.image.digest) {
        Some(digest) if digest == manifest => Ok(()),
        _ => Err("its signature is of another manifest"),
    }
}
