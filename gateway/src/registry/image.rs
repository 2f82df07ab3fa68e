//! Container images: a component that is a file in their layers. Nothing else in an image is read; a configuration
//! beside the component has no effect, since grants are the operator's.

use std::{
    fs::File,
    io::{self, Seek as _, Write},
};

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::{
    download,
    error::RegistryError,
    exchange::Exchange,
    layer::{Said, Search, Sink, Unread},
    lookup,
    manifest::Layer,
    store::Store,
};
use crate::config::{Reference, Sha256Digest};

/// The file of the component, and its digest.
struct Component {
    file: NamedTempFile,
    hasher: Sha256,
}

impl Write for Component {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Sink for Component {
    fn restart(&mut self) -> io::Result<()> {
        self.hasher = Sha256::new();
        self.file.as_file().set_len(0)?;
        self.file.rewind()
    }
}

/// The digest of the component at the reference's path, if it was found in this image before and is stored.
pub(super) fn known(store: &Store, manifest: &Reference) -> Option<Sha256Digest> {
    let digest = store.noted(&note(manifest))?;
    store.has(&digest).then_some(digest)
}

/// Finds the component at a reference's path in the layers of an image, and stores it. The reference is that of the
/// manifest, by digest.
///
/// # Errors
/// When a layer cannot be downloaded, or the file does not exist.
pub(super) async fn component(
    exchange: &Exchange<'_>,
    store: &Store,
    manifest: &Reference,
    layers: Vec<Layer>,
) -> Result<Sha256Digest, RegistryError> {
    // One image at a time: they are large, and several packages may be files of the same one.
    let _turn = exchange.one_image().await;
    if let Some(digest) = known(store, manifest) {
        return Ok(digest);
    }
    let bytes = layers.iter().map(|layer| layer.blob.bytes).sum();
    let patience = exchange.transport().patience().for_bytes(bytes);
    let search = searched(exchange, store, manifest, layers);
    lookup::within(patience, manifest, "an image", search).await
}

async fn searched(
    exchange: &Exchange<'_>,
    store: &Store,
    manifest: &Reference,
    layers: Vec<Layer>,
) -> Result<Sha256Digest, RegistryError> {
    let path = manifest.file().unwrap_or_default().to_owned();
    let mut search = Search::new(&path);
    for layer in layers.into_iter().rev() {
        if !store.has(&layer.blob.digest) {
            download::blob(exchange, store, manifest, &layer.blob).await?;
        }
        let packed = store.path(&layer.blob.digest);
        let packed = File::open(&packed).map_err(|error| RegistryError::store(packed, &error))?;
        let file = store.begin()?;
        let reading = tokio::task::spawn_blocking(move || {
            let mut component = Component {
                file,
                hasher: Sha256::new(),
            };
            let said = search.layer(packed, layer.packing, &mut component);
            (search, component, said)
        });
        let read = reading.await;
        let (after, component, said) = read.map_err(|error| RegistryError::Machine(error.to_string()))?;
        search = after;
        match said.map_err(|unread| refused(manifest, unread))? {
            Said::Here(_) => {
                let digest = component.hasher.finalize().into();
                store.finish(component.file, &digest)?;
                store.note(&note(manifest), &digest)?;
                return Ok(digest);
            }
            Said::Gone => {
                let what = format!("there is no file {path} in the image any more: a layer takes it away");
                return Err(no_component(manifest, what));
            }
            Said::Nothing => {}
        }
    }
    let there: Vec<_> = search.there().collect();
    let there = match there.as_slice() {
        [] => "no component".to_owned(),
        there => there.join(", "),
    };
    let what = format!("there is no file {path} in the image; in its root is {there}");
    Err(no_component(manifest, what))
}

/// The name under which an image's component is recorded.
pub(super) fn note(manifest: &Reference) -> String {
    format!("component {manifest}")
}

fn refused(manifest: &Reference, unread: Unread) -> RegistryError {
    match unread {
        Unread::Odd(what) => no_component(manifest, what),
        Unread::TooLarge(what, bytes, limit) => RegistryError::TooLarge {
            what: format!("{what} of {manifest}"),
            bytes,
            limit,
        },
        Unread::Unwritten(error) => RegistryError::store(manifest.to_string(), &error),
    }
}

fn no_component(manifest: &Reference, what: String) -> RegistryError {
    RegistryError::NotAComponent {
        reference: manifest.to_string(),
        what,
    }
}
