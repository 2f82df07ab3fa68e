//! Resolves a reference to a manifest: from the store if it cannot have changed, otherwise from the registry.

use std::{future::Future, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use super::{
    auth::Scope,
    error::RegistryError,
    exchange::Exchange,
    manifest::{ACCEPTED, MAX_MANIFEST},
    retry::Retries,
    store::Store,
    transport::Ask,
};
use crate::config::{Reference, Sha256Digest, parse_digest, show_digest};

/// The header with a manifest's digest.
const DIGEST: &str = "docker-content-digest";

/// A manifest's bytes and their digest.
pub(super) struct Found {
    pub(super) digest: Sha256Digest,
    pub(super) bytes: Bytes,
}

/// The manifest of a reference, as in its registry, stored.
///
/// # Errors
/// When it cannot be downloaded, or has another digest.
pub(super) async fn manifest(
    exchange: &Exchange<'_>,
    store: &Store,
    reference: &Reference,
    retries: Retries,
) -> Result<Found, RegistryError> {
    let patience = exchange.transport().patience().lookup;
    within(
        patience,
        reference,
        "a lookup",
        tries(exchange, store, reference, retries),
    )
    .await
}

/// Runs a registry operation with a time-out.
///
/// # Errors
/// When it times out, as unreachable; and those of the operation.
pub(super) async fn within<T>(
    patience: Duration,
    reference: &Reference,
    what: &str,
    work: impl Future<Output = Result<T, RegistryError>>,
) -> Result<T, RegistryError> {
    let ended = timeout(patience, work).await;
    ended.unwrap_or_else(|_| {
        Err(RegistryError::Unreachable {
            host: reference.host().to_owned(),
            error: format!("{what} took longer than {patience:?}"),
        })
    })
}

async fn tries(
    exchange: &Exchange<'_>,
    store: &Store,
    reference: &Reference,
    mut retries: Retries,
) -> Result<Found, RegistryError> {
    if let Some(digest) = reference.digest()
        && let Some(found) = stored(store, digest)
    {
        return Ok(found);
    }
    loop {
        let looked_up = async {
            // HEAD does not count as a pull.
            if reference.digest().is_none()
                && store.seen(reference).is_some()
                && let Some(digest) = digest(exchange, reference).await?
                && let Some(found) = stored(store, digest)
            {
                return Ok(found);
            }
            let found = fetch(exchange, reference).await?;
            // Syncing takes time: once for all tags that point to it.
            if !store.has(&found.digest) {
                store.keep(&found.bytes, &found.digest)?;
            }
            Ok(found)
        };
        match looked_up.await {
            Ok(found) => return Ok(found),
            Err(error) => retries.wait_after(error).await?,
        }
    }
}

/// The manifest with this digest, if it is stored.
pub(super) fn stored(store: &Store, digest: Sha256Digest) -> Option<Found> {
    let bytes = store.read(&digest, MAX_MANIFEST)?.into();
    Some(Found { digest, bytes })
}

/// The current digest of a tag; `None` if the registry does not send it.
pub(super) async fn digest(
    exchange: &Exchange<'_>,
    reference: &Reference,
) -> Result<Option<Sha256Digest>, RegistryError> {
    let answer = ask(exchange, reference, Method::HEAD).await?;
    if answer.status() == StatusCode::METHOD_NOT_ALLOWED {
        return Ok(None);
    }
    let answer = exchange
        .transport()
        .success(answer, reference.host(), &named(reference))
        .await?;
    Ok(told(answer.headers()))
}

/// Downloads a manifest.
pub(super) async fn fetch(exchange: &Exchange<'_>, reference: &Reference) -> Result<Found, RegistryError> {
    let answer = ask(exchange, reference, Method::GET).await?;
    let answer = exchange
        .transport()
        .success(answer, reference.host(), &named(reference))
        .await?;
    let told = told(answer.headers());
    let what = format!("the manifest of {reference}");
    let bytes = exchange
        .transport()
        .small(answer, reference.host(), &what, MAX_MANIFEST)
        .await?;
    let digest: Sha256Digest = Sha256::digest(&bytes).into();
    let expected = reference.digest().or(told);
    match expected.filter(|expected| *expected != digest) {
        None => Ok(Found { digest, bytes }),
        Some(expected) => Err(RegistryError::OtherDigest {
            what,
            expected: show_digest(&expected),
            found: show_digest(&digest),
        }),
    }
}

async fn ask(
    exchange: &Exchange<'_>,
    reference: &Reference,
    method: Method,
) -> Result<http::Response<hyper::body::Incoming>, RegistryError> {
    let name = match reference.digest() {
        Some(digest) => show_digest(&digest),
        None => reference.tag().unwrap_or_default().to_owned(),
    };
    let uri = exchange
        .transport()
        .uri(reference, &format!("manifests/{name}"))?;
    let ask = Ask::at(method, uri).with(header::ACCEPT, ACCEPTED);
    exchange.ask(reference, Scope::Pull, ask).await
}

fn told(headers: &HeaderMap) -> Option<Sha256Digest> {
    parse_digest(headers.get(DIGEST)?.to_str().ok()?)
}

/// The reference without its registry.
fn named(reference: &Reference) -> String {
    match reference.digest() {
        Some(digest) => format!("{}@{}", reference.repository(), show_digest(&digest)),
        None => format!(
            "{}:{}",
            reference.repository(),
            reference.tag().unwrap_or_default()
        ),
    }
}
