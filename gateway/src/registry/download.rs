//! Downloads blobs into the store, and resumes broken downloads.

use std::{
    io::{Seek as _, Write as _},
    time::Duration,
};

use http::{Method, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use tokio::time::timeout;

use super::{
    auth::Scope,
    error::RegistryError,
    exchange::Exchange,
    manifest::Blob,
    retry::{self, Retries},
    store::Store,
    transport::{Ask, odd},
};
use crate::config::{Reference, Sha256Digest, show_digest};

/// The maximum number of resumptions, even if there is progress: a registry that sends a byte at a time is useless.
const MAX_PIECES: usize = 50;

/// A partly downloaded blob.
struct Partial {
    file: NamedTempFile,
    hasher: Sha256,
    bytes: u64,
}

/// Pulls a blob of a repository into the store.
///
/// # Errors
/// When it cannot be downloaded, or has another digest.
pub(super) async fn blob(
    exchange: &Exchange<'_>,
    store: &Store,
    reference: &Reference,
    blob: &Blob,
) -> Result<(), RegistryError> {
    let file = whole(exchange, store, reference, blob).await?;
    store.finish(file, &blob.digest)
}

/// Pulls a blob of a repository into a temporary file beside the store's.
///
/// # Errors
/// When it cannot be downloaded, or has another digest.
pub(super) async fn whole(
    exchange: &Exchange<'_>,
    store: &Store,
    reference: &Reference,
    blob: &Blob,
) -> Result<NamedTempFile, RegistryError> {
    let patience = exchange.transport().patience().for_bytes(blob.bytes);
    let whole = timeout(patience, pieces(exchange, store, reference, blob)).await;
    let late = |_| {
        let what = format!(
            "a blob of {} bytes did not come within {patience:?}",
            blob.bytes
        );
        unreachable(reference, what)
    };
    whole.map_err(late)?
}

async fn pieces(
    exchange: &Exchange<'_>,
    store: &Store,
    reference: &Reference,
    blob: &Blob,
) -> Result<NamedTempFile, RegistryError> {
    let mut partial = Partial {
        file: store.begin()?,
        hasher: Sha256::new(),
        bytes: 0,
    };
    let mut retries = Retries::new(retry::PATIENT);
    for _ in 0..MAX_PIECES {
        let before = partial.bytes;
        match go_on(exchange, reference, blob, &mut partial).await {
            Ok(()) => return finish(reference, blob, partial),
            Err(error) => {
                if partial.bytes > before {
                    retries = Retries::new(retry::PATIENT);
                }
                retries.wait_after(error).await?;
            }
        }
    }
    let what = format!("a blob did not come in {MAX_PIECES} pieces");
    Err(odd(reference.host(), what))
}

fn finish(reference: &Reference, blob: &Blob, partial: Partial) -> Result<NamedTempFile, RegistryError> {
    let found: Sha256Digest = partial.hasher.finalize().into();
    if found != blob.digest {
        return Err(RegistryError::OtherDigest {
            what: format!("what {} gave for {reference}", reference.host()),
            expected: show_digest(&blob.digest),
            found: show_digest(&found),
        });
    }
    Ok(partial.file)
}

/// Resumes where it broke off.
async fn go_on(
    exchange: &Exchange<'_>,
    reference: &Reference,
    blob: &Blob,
    partial: &mut Partial,
) -> Result<(), RegistryError> {
    let uri = exchange
        .transport()
        .uri(reference, &format!("blobs/{}", show_digest(&blob.digest)))?;
    let mut ask = Ask::at(Method::GET, uri).with(header::ACCEPT_ENCODING, "identity");
    if partial.bytes > 0 {
        ask = ask.with(header::RANGE, &format!("bytes={}-", partial.bytes));
    }
    let answer = exchange.ask(reference, Scope::Pull, ask).await?;
    if answer.status() == StatusCode::RANGE_NOT_SATISFIABLE && partial.bytes > 0 {
        partial.restart()?;
        return Err(unreachable(
            reference,
            "it has less of a blob than it gave".to_owned(),
        ));
    }
    let what = format!(
        "blob {} of {}",
        show_digest(&blob.digest),
        reference.repository()
    );
    let answer = exchange
        .transport()
        .success(answer, reference.host(), &what)
        .await?;
    if partial.bytes > 0 && !continues(&answer, partial.bytes) {
        partial.restart()?;
    }
    let stall = exchange.transport().patience().stall;
    read(answer, reference, blob, partial, stall).await
}

async fn read(
    answer: Response<Incoming>,
    reference: &Reference,
    blob: &Blob,
    partial: &mut Partial,
    stall: Duration,
) -> Result<(), RegistryError> {
    let mut body = answer.into_body();
    loop {
        let frame = timeout(stall, body.frame()).await.map_err(|_| {
            let what = format!("a blob stood still for {stall:?}");
            unreachable(reference, what)
        })?;
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|error| unreachable(reference, format!("a blob broke off: {error}")))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if partial.bytes + data.len() as u64 > blob.bytes {
            return Err(RegistryError::TooLarge {
                what: format!("what {} gave for {reference}", reference.host()),
                bytes: partial.bytes + data.len() as u64,
                limit: blob.bytes,
            });
        }
        partial.add(&data)?;
    }
    if partial.bytes < blob.bytes {
        let what = format!(
            "a blob ended after {} of {} bytes",
            partial.bytes, blob.bytes
        );
        return Err(unreachable(reference, what));
    }
    Ok(())
}

/// Returns whether a response continues at this byte.
fn continues(answer: &Response<Incoming>, at: u64) -> bool {
    let range = answer.headers().get(header::CONTENT_RANGE);
    let range = range.and_then(|range| range.to_str().ok());
    let start = range.and_then(|range| {
        range
            .strip_prefix("bytes ")?
            .split_once('-')?
            .0
            .trim()
            .parse::<u64>()
            .ok()
    });
    answer.status() == StatusCode::PARTIAL_CONTENT && start == Some(at)
}

impl Partial {
    fn add(&mut self, data: &[u8]) -> Result<(), RegistryError> {
        self.hasher.update(data);
        self.bytes += data.len() as u64;
        let written = self.file.write_all(data);
        written.map_err(|error| RegistryError::store(self.file.path(), &error))
    }

    fn restart(&mut self) -> Result<(), RegistryError> {
        self.hasher = Sha256::new();
        self.bytes = 0;
        let file = self.file.as_file_mut();
        let empty = file.set_len(0).and_then(|()| file.rewind());
        empty.map_err(|error| RegistryError::store(self.file.path(), &error))
    }
}

fn unreachable(reference: &Reference, error: String) -> RegistryError {
    RegistryError::Unreachable {
        host: reference.host().to_owned(),
        error,
    }
}
