//! Pulls components into the store: resolves each reference, then downloads every component once.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, stream};

use super::{
    code, download,
    error::RegistryError,
    exchange::Exchange,
    image,
    lookup::{self, Found},
    manifest::{Blob, Leads, Manifest},
    retry::{self, Retries},
    signature,
    store::Store,
};
use crate::config::{Reference, Sha256Digest, VerifyKey};

/// The number of concurrent lookups, which registries serve to one host without throttling.
const LOOKUPS: usize = 16;

/// The number of concurrent downloads.
const DOWNLOADS: usize = 4;

/// A component to pull.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Wanted {
    /// The component.
    pub(crate) reference: Reference,
    /// The key that must have signed it.
    pub(crate) key: Option<VerifyKey>,
}

/// A stored component.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Pulled {
    /// Its reference.
    pub(crate) reference: Reference,
    /// The digest that the reference resolves to: its manifest, or an index.
    pub(crate) manifest: Sha256Digest,
    /// The digest of its bytes.
    pub(crate) component: Sha256Digest,
    /// The manifests of its compiled code; empty unless they are covered by a signature or a configured digest.
    pub(crate) code: Vec<Sha256Digest>,
}

/// The result for a component.
pub(super) struct Outcome {
    pub(super) pulled: Result<Pulled, RegistryError>,
    /// The error because of which the previous version is served.
    pub(super) stale: Option<RegistryError>,
    /// It was downloaded.
    pub(super) is_new: bool,
}

/// A resolved reference.
struct Resolved {
    pulled: Pulled,
    /// The blob to download; `None` if it was found in an image and is stored.
    blob: Option<Blob>,
    stale: Option<RegistryError>,
}

/// Pulls all components.
pub(super) async fn all(
    exchange: &Exchange<'_>,
    store: &Store,
    wanted: &BTreeSet<Wanted>,
) -> BTreeMap<Wanted, Outcome> {
    let resolved = stream::iter(wanted)
        .map(|wanted| async move { (wanted, resolve(exchange, store, wanted).await) })
        .buffer_unordered(LOOKUPS);
    let resolved: Vec<_> = resolved.collect().await;
    let mut blobs = BTreeMap::<_, Vec<_>>::new();
    for found in resolved.iter().filter_map(|(_, found)| found.as_ref().ok()) {
        let Some(blob) = &found.blob else { continue };
        let ways = blobs.entry(blob.digest).or_default();
        // One per repository: several may claim to have it, and some may be wrong.
        let reference = &found.pulled.reference;
        let is_known = |(other, known): &(&Reference, &Blob)| other.is_beside(reference) && known.bytes == blob.bytes;
        if !ways.iter().any(is_known) {
            ways.push((reference, blob));
        }
    }
    let downloads = stream::iter(blobs)
        .map(|(digest, ways)| async move { (digest, by_any(exchange, store, digest, &ways).await) })
        .buffer_unordered(DOWNLOADS);
    let downloads: BTreeMap<_, _> = downloads.collect().await;
    let ended = resolved.into_iter().map(|(wanted, found)| {
        let outcome = match found {
            Err(error) => fall_back(store, wanted, error),
            Ok(found) if found.blob.is_none() => arrived(store, found, false),
            Ok(found) => match downloads.get(&found.pulled.component) {
                Some(Ok(is_new)) => arrived(store, found, *is_new),
                Some(Err(error)) => fall_back(store, wanted, error.clone()),
                None => Outcome::failed(RegistryError::Machine("a download was left out".to_owned())),
            },
        };
        (wanted.clone(), outcome)
    });
    ended.collect()
}

/// Pulls a component from the first repository that provides it. True if it was not stored yet.
async fn by_any(
    exchange: &Exchange<'_>,
    store: &Store,
    digest: Sha256Digest,
    ways: &[(&Reference, &Blob)],
) -> Result<bool, RegistryError> {
    if store.has(&digest) {
        return Ok(false);
    }
    let mut failed = RegistryError::Machine("no repository was asked".to_owned());
    for (reference, blob) in ways {
        match download::blob(exchange, store, reference, blob).await {
            Ok(()) => return Ok(true),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

impl Outcome {
    fn failed(error: RegistryError) -> Self {
        Self {
            pulled: Err(error),
            stale: None,
            is_new: false,
        }
    }
}

/// Records the tag's digest, once everything is stored.
fn arrived(store: &Store, found: Resolved, is_new: bool) -> Outcome {
    let reference = &found.pulled.reference;
    let noted = match reference.digest() {
        None if found.stale.is_none() => store.see(reference, &found.pulled.manifest),
        _ => Ok(()),
    };
    Outcome {
        pulled: noted.map(|()| found.pulled),
        stale: found.stale,
        is_new,
    }
}

/// Resolves a reference with the registry or, if that fails, with the last known digest.
async fn resolve(exchange: &Exchange<'_>, store: &Store, wanted: &Wanted) -> Result<Resolved, RegistryError> {
    let reference = &wanted.reference;
    let before = store
        .seen(reference)
        .filter(|_| reference.digest().is_none());
    let patience = if before.is_some() {
        retry::BRIEF
    } else {
        retry::PATIENT
    };
    let found = match (exchange.down(reference), before) {
        (Some(error), Some(_)) => Err(error),
        // Many components may be wanted from a registry that does not answer.
        (Some(_), None) => {
            let patience = exchange.transport().patience().lookup_again;
            let once = lookup::manifest(exchange, store, reference, Retries::new(&[]));
            lookup::within(patience, reference, "a lookup", once).await
        }
        (None, _) => lookup::manifest(exchange, store, reference, Retries::new(patience)).await,
    };
    exchange.note(reference, found.as_ref().err());
    let (found, stale) = match (
        found,
        before.and_then(|before| lookup::stored(store, before)),
    ) {
        (Ok(found), _) => (found, None),
        (Err(error), Some(before)) if error.leaves_the_one_before() => (before, Some(error)),
        (Err(error), _) => return Err(error),
    };
    let resolved = follow(exchange, store, wanted, &found, stale).await?;
    if resolved.stale.is_some() && !store.has(&resolved.pulled.component) {
        return Err(resolved
            .stale
            .unwrap_or(RegistryError::Machine(String::new())));
    }
    Ok(resolved)
}

async fn follow(
    exchange: &Exchange<'_>,
    store: &Store,
    wanted: &Wanted,
    found: &Found,
    stale: Option<RegistryError>,
) -> Result<Resolved, RegistryError> {
    let reference = &wanted.reference;
    if let Some(key) = &wanted.key {
        signature::check(exchange, store, reference, found.digest, key).await?;
    }
    let mut manifest = Manifest::parse(&found.bytes, reference)?;
    let mut own = reference.pinned(found.digest);
    let mut leads = manifest.leads(reference)?;
    if let Leads::Manifest(digest) = leads {
        own = reference.pinned(digest);
        let found = lookup::manifest(exchange, store, &own, Retries::new(retry::PATIENT)).await?;
        manifest = Manifest::parse(&found.bytes, &own)?;
        leads = manifest.leads(&own)?;
    }
    let (component, blob) = match leads {
        Leads::Component(blob) => (blob.digest, Some(blob)),
        Leads::Image(layers) => (image::component(exchange, store, &own, layers).await?, None),
        Leads::Manifest(_) => {
            return Err(RegistryError::NotAComponent {
                reference: own.to_string(),
                what: "it is an index in an index".to_owned(),
            });
        }
    };
    let pulled = Pulled {
        reference: reference.clone(),
        manifest: found.digest,
        component,
        // Native code must be covered by a signature or a configured digest.
        code: match wanted.key.is_some() || reference.digest().is_some() {
            true => code::of(&manifest),
            false => Vec::new(),
        },
    };
    Ok(Resolved {
        pulled,
        blob,
        stale,
    })
}

/// Falls back to the previous version of a tag.
fn fall_back(store: &Store, wanted: &Wanted, error: RegistryError) -> Outcome {
    let reference = &wanted.reference;
    let before = || {
        let digest = store
            .seen(reference)
            .filter(|_| reference.digest().is_none())?;
        let found = lookup::stored(store, digest)?;
        let leads = Manifest::parse(&found.bytes, reference)
            .ok()?
            .leads(reference)
            .ok()?;
        let component = match leads {
            Leads::Component(blob) => blob.digest,
            Leads::Image(_) => image::known(store, &reference.pinned(digest))?,
            Leads::Manifest(_) => return None,
        };
        // The key may be new: a version that was not verified with it is not served.
        let is_there = wanted.key.is_none() && store.has(&component);
        is_there.then(|| Pulled {
            reference: reference.clone(),
            manifest: digest,
            component,
            code: Vec::new(),
        })
    };
    match before().filter(|_| error.leaves_the_one_before()) {
        Some(before) => Outcome {
            pulled: Ok(before),
            stale: Some(error),
            is_new: false,
        },
        None => Outcome::failed(error),
    }
}

/// The current digests of tags.
pub(super) async fn digests<'a>(
    exchange: &Exchange<'_>,
    references: impl Iterator<Item = &'a Reference>,
) -> Vec<(Reference, Result<Sha256Digest, RegistryError>)> {
    let looked_up = stream::iter(references.cloned())
        .map(|reference| async move {
            let now = digest(exchange, &reference).await;
            (reference, now)
        })
        .buffer_unordered(LOOKUPS);
    looked_up.collect().await
}

async fn digest(exchange: &Exchange<'_>, reference: &Reference) -> Result<Sha256Digest, RegistryError> {
    let mut retries = Retries::new(retry::PATIENT);
    loop {
        let looked_up = async {
            match lookup::digest(exchange, reference).await? {
                Some(digest) => Ok(digest),
                None => Ok(lookup::fetch(exchange, reference).await?.digest),
            }
        };
        match looked_up.await {
            Ok(digest) => return Ok(digest),
            Err(error) => retries.wait_after(error).await?,
        }
    }
}
