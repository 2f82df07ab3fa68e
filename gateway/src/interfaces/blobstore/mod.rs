//! `wasi:blobstore` on folders of this machine: a container is a folder named in the package's `blobstore`, an object
//! is a file in it.

mod container;
mod store;
mod stream;
mod value;

use std::sync::Arc;

use wasmtime::component::Linker;

use crate::{
    account::{Account, Container},
    instance::HostState,
};
use value::blocking;

/// The interfaces, by the names that components import.
pub(super) const OFFERED: [&str; 3] = [
    "wasi:blobstore/types@0.2.0-draft",
    "wasi:blobstore/container@0.2.0-draft",
    "wasi:blobstore/blobstore@0.2.0-draft",
];

/// Puts one of the interfaces into a linker.
///
/// # Errors
/// When the linker does not take it.
pub(super) fn link(linker: &mut Linker<HostState>, name: &str) -> wasmtime::Result<()> {
    let mut instance = linker.instance(name)?;
    match name {
        "wasi:blobstore/types@0.2.0-draft" => value::link(&mut instance),
        "wasi:blobstore/container@0.2.0-draft" => container::link(&mut instance),
        _ => store::link(&mut instance),
    }
}

/// The containers of a package.
struct Containers(Arc<Account>);

fn granted(state: &HostState) -> Containers {
    Containers(Arc::clone(state.account()))
}

impl Containers {
    fn has(&self, name: &str) -> bool {
        self.0.config.blobstore.contains_key(name)
    }

    /// The container of this name, if the package may use it.
    async fn get(&self, name: &str) -> Result<Arc<Container>, String> {
        if !self.has(name) {
            return Err(not_granted(name));
        }
        let (account, name) = (Arc::clone(&self.0), name.to_owned());
        blocking(&self.0.threads, move || {
            let granted = account.config.blobstore.get(&name);
            let granted = granted.ok_or_else(|| std::io::Error::other(not_granted(&name)))?;
            account.blobs.container(&name, granted)
        })
        .await
    }

    /// The first of them, where values are that go to none yet.
    async fn first(&self) -> Result<Arc<Container>, String> {
        match self.0.config.blobstore.keys().next() {
            Some(name) => self.get(name).await,
            None => Err("the package has no containers".to_owned()),
        }
    }
}

fn not_granted(name: &str) -> String {
    let name = name.get(..MOST_OF_A_NAME).unwrap_or(name);
    format!("there is no container {name:?} in the package's `blobstore`")
}

/// The bytes of a container's name that are told.
const MOST_OF_A_NAME: usize = 100;

/// Tells the log of a container that was refused.
fn tell_refused(state: &HostState, name: &str) {
    let account = state.account();
    if account.may_log() {
        let container = name.get(..MOST_OF_A_NAME).unwrap_or(name);
        tracing::warn!(package = %account.name(), request_id = state.request_id().as_str(), container,
            "a container was refused: it is not in the package's `blobstore`");
    }
}
