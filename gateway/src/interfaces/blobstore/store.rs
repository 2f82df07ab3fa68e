//! `wasi:blobstore/blobstore`: containers by name. They are configured: guests can neither create nor remove them.

use std::io::Read as _;

use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Lift, LinkerInstance, Resource},
};
use wasmtime_wasi_io::IoView as _;

use super::{Containers, container::Opened, granted, stream::CHUNK, value::blocking};
use crate::instance::HostState;

/// `wasi:blobstore/types.object-id`.
#[derive(ComponentType, Lift)]
#[component(record)]
struct ObjectId {
    #[component(name = "container")]
    container: String,
    #[component(name = "object")]
    object: String,
}

/// Puts the interface into a linker.
///
/// # Errors
/// When the linker does not take it.
pub(super) fn link(linker: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    for name in ["create-container", "get-container"] {
        linker.func_wrap_async(
            name,
            |mut store: StoreContextMut<'_, HostState>, (name,): (String,)| {
                Box::new(async move { Ok((open(&mut store, &name).await?,)) })
            },
        )?;
    }
    linker.func_wrap(
        "delete-container",
        |store: StoreContextMut<'_, HostState>, (name,): (String,)| {
            let refused = match granted(store.data()).has(&name) {
                true => "a container is its operator's, and `clear` empties it".to_owned(),
                false => super::not_granted(&name),
            };
            Ok((Err::<(), _>(refused),))
        },
    )?;
    linker.func_wrap(
        "container-exists",
        |store: StoreContextMut<'_, HostState>, (name,): (String,)| {
            Ok((Ok::<_, String>(granted(store.data()).has(&name)),))
        },
    )?;
    for (name, moves) in [("copy-object", false), ("move-object", true)] {
        linker.func_wrap_async(
            name,
            move |store: StoreContextMut<'_, HostState>, (from, to): (ObjectId, ObjectId)| {
                let containers = granted(store.data());
                Box::new(async move { Ok((copy(containers, from, to, moves).await,)) })
            },
        )?;
    }
    Ok(())
}

async fn open(
    store: &mut StoreContextMut<'_, HostState>,
    name: &str,
) -> wasmtime::Result<Result<Resource<Opened>, String>> {
    let containers = granted(store.data());
    if !containers.has(name) {
        super::tell_refused(store.data(), name);
    }
    let opened = containers.get(name).await;
    let state = store.data_mut();
    Ok(match opened {
        Ok(container) => {
            let opened = Opened {
                container,
                kept: state.kept(),
                threads: state.account().threads.clone(),
            };
            Ok(state.table().push(opened)?)
        }
        Err(error) => Err(error),
    })
}

async fn copy(containers: Containers, from: ObjectId, to: ObjectId, moves: bool) -> Result<(), String> {
    let source = containers.get(&from.container).await?;
    let target = containers.get(&to.container).await?;
    let is_same = from.container == to.container && from.object == to.object;
    blocking(&containers.0.threads, move || {
        let mut file = source.read(&from.object)?;
        if is_same {
            return Ok(());
        }
        let (mut part, mut chunk) = (target.part()?, vec![0; CHUNK]);
        loop {
            let length = file.read(&mut chunk)?;
            match chunk.get(..length) {
                None | Some([]) => break,
                Some(bytes) => part.write(bytes)?,
            }
        }
        part.finish(&target, &to.object)?;
        if moves {
            source.remove(&from.object)?;
        }
        Ok(())
    })
    .await
}
