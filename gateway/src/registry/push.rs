//! Pushes a component from a file to a registry.

use std::time::SystemTime;

use bytes::Bytes;
use http::{Method, StatusCode, Uri, header};

use super::{
    artifact::Artifact,
    auth::Scope,
    error::RegistryError,
    exchange::Exchange,
    manifest::MANIFEST,
    retry::{self, Retries},
    transport::{Ask, is_same_origin, odd},
};
use crate::config::{Reference, Sha256Digest, show_digest};

/// What was pushed.
#[derive(Debug, Clone)]
pub struct Pushed {
    /// The reference with the digest of its manifest.
    pub reference: Reference,
    /// The digest of the component's bytes.
    pub component: Sha256Digest,
    /// The digests of its code manifests.
    pub code: Vec<Sha256Digest>,
}

/// Pushes a component, created at `made`, under a tag.
///
/// # Errors
/// When it is invalid, or the registry refuses it.
pub(super) async fn push(
    exchange: &Exchange<'_>,
    reference: &Reference,
    component: Bytes,
    made: SystemTime,
    annotations: Vec<(String, String)>,
) -> Result<Pushed, RegistryError> {
    let artifact = Artifact::new(reference, &component, made, annotations)?;
    blob(exchange, reference, component, &artifact.component).await?;
    blob(
        exchange,
        reference,
        artifact.config.into(),
        &artifact.config_digest,
    )
    .await?;
    let manifest: Bytes = artifact.manifest.into();
    let tag = reference.tag().unwrap_or_default();
    manifest_at(exchange, reference, tag, &manifest, "the manifest").await?;
    Ok(Pushed {
        reference: reference.pinned(artifact.digest),
        component: artifact.component,
        code: Vec::new(),
    })
}

/// Puts a manifest at a tag, with retries; `what` is for errors.
pub(super) async fn manifest_at(
    exchange: &Exchange<'_>,
    reference: &Reference,
    tag: &str,
    manifest: &Bytes,
    what: &str,
) -> Result<(), RegistryError> {
    let mut retries = Retries::new(retry::PATIENT);
    loop {
        let uri = exchange
            .transport()
            .uri(reference, &format!("manifests/{tag}"))?;
        let mut ask = Ask::at(Method::PUT, uri).with(header::CONTENT_TYPE, MANIFEST);
        ask.body = manifest.clone();
        match asked(exchange, reference, ask, what).await {
            Ok(_) => return Ok(()),
            Err(error) => retries.wait_after(error).await?,
        }
    }
}

/// Uploads a blob, unless it exists.
pub(super) async fn blob(
    exchange: &Exchange<'_>,
    reference: &Reference,
    bytes: Bytes,
    digest: &Sha256Digest,
) -> Result<(), RegistryError> {
    let mut retries = Retries::new(retry::PATIENT);
    loop {
        match upload(exchange, reference, bytes.clone(), digest).await {
            Ok(()) => return Ok(()),
            Err(error) => retries.wait_after(error).await?,
        }
    }
}

async fn upload(
    exchange: &Exchange<'_>,
    reference: &Reference,
    bytes: Bytes,
    digest: &Sha256Digest,
) -> Result<(), RegistryError> {
    let transport = exchange.transport();
    let shown = show_digest(digest);
    let there = Ask::at(
        Method::HEAD,
        transport.uri(reference, &format!("blobs/{shown}"))?,
    );
    let there = exchange.ask(reference, Scope::Push, there).await?;
    if there.status() == StatusCode::OK {
        return Ok(());
    }
    let begin = transport.uri(reference, "blobs/uploads/")?;
    let begun = Ask::at(Method::POST, begin.clone()).with(header::CONTENT_LENGTH, "0");
    let begun = asked(exchange, reference, begun, "an upload").await?;
    let to = transport.location(&begin, begun.headers())?;
    let and = if to.query().is_some() { '&' } else { '?' };
    let to: Uri = format!("{to}{and}digest={shown}").parse().map_err(|_| {
        odd(
            reference.host(),
            "it takes uploads at what is no address".to_owned(),
        )
    })?;
    let is_own = is_same_origin(&begin, &to);
    let mut put = Ask::at(Method::PUT, to).with(header::CONTENT_TYPE, "application/octet-stream");
    put.body = bytes;
    if is_own {
        asked(exchange, reference, put, "a blob").await?;
    } else {
        // Its storage must not get our credentials.
        let answer = transport.follow(put, None).await?;
        transport
            .success(answer, reference.host(), "a blob")
            .await?;
    }
    Ok(())
}

pub(super) async fn asked(
    exchange: &Exchange<'_>,
    reference: &Reference,
    ask: Ask,
    what: &str,
) -> Result<http::Response<hyper::body::Incoming>, RegistryError> {
    let what = format!("place for {what} in {}", reference.repository());
    let answer = exchange.ask(reference, Scope::Push, ask).await?;
    exchange
        .transport()
        .success(answer, reference.host(), &what)
        .await
}
