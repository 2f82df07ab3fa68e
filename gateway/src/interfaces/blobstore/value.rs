//! `wasi:blobstore/types`: values on their way into a container and out of it.

use std::{os::unix::fs::FileExt as _, sync::Arc};

use wasmtime::{
    StoreContextMut,
    component::{LinkerInstance, Resource, ResourceType},
};
use wasmtime_wasi_io::{
    IoView as _,
    streams::{DynInputStream, DynOutputStream},
};

use super::{
    granted,
    stream::{CHUNK, Incoming, Reader, Writer, Writing},
};
use crate::{
    account::{Container, Threads},
    instance::{FilePlace, HostState},
};

/// The resource `outgoing-value`.
pub(super) struct Outgoing {
    /// The container that it goes to, if it is known: what is written before is kept in the package's first.
    pub(super) target: Option<(Arc<Container>, String)>,
    /// What was written, from when the guest has taken the stream.
    writing: Option<Arc<Writing>>,
    _place: FilePlace,
}

/// Puts the interface into a linker.
///
/// # Errors
/// When the linker does not take it.
pub(super) fn link(linker: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    linker.resource(
        "outgoing-value",
        ResourceType::host::<Outgoing>(),
        |mut store, handle| {
            let handle = Resource::<Outgoing>::new_own(handle);
            store.data_mut().table().delete(handle)?;
            Ok(())
        },
    )?;
    linker.resource(
        "incoming-value",
        ResourceType::host::<Incoming>(),
        |mut store, handle| {
            let handle = Resource::<Incoming>::new_own(handle);
            store.data_mut().table().delete(handle)?;
            Ok(())
        },
    )?;
    link_outgoing(linker)?;
    link_incoming(linker)
}

fn link_outgoing(linker: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "[static]outgoing-value.new-outgoing-value",
        |mut store: StoreContextMut<'_, HostState>, (): ()| {
            let state = store.data_mut();
            let place = state
                .file_place()
                .ok_or_else(|| wasmtime::Error::msg("the guest has too many blobs open"))?;
            let value = Outgoing {
                target: None,
                writing: None,
                _place: place,
            };
            Ok((state.table().push(value)?,))
        },
    )?;
    linker.func_wrap_async(
        "[method]outgoing-value.outgoing-value-write-body",
        |mut store: StoreContextMut<'_, HostState>, (handle,): (Resource<Outgoing>,)| {
            Box::new(async move {
                let state = store.data_mut();
                let value = state.table().get(&handle)?;
                if value.writing.is_some() {
                    return Ok((Err(()),));
                }
                let target = value
                    .target
                    .as_ref()
                    .map(|(container, _)| Arc::clone(container));
                let home = match target {
                    Some(container) => container,
                    None => match granted(state).first().await {
                        Ok(container) => container,
                        Err(_) => return Ok((Err(()),)),
                    },
                };
                let threads = state.account().threads.clone();
                let Ok(part) = threads.begin(move || home.part()).await else {
                    return Ok((Err(()),));
                };
                let state = store.data_mut();
                let writing = Arc::new(Writing::new(part));
                state.table().get_mut(&handle)?.writing = Some(Arc::clone(&writing));
                let stream: DynOutputStream = Box::new(Writer::new(writing, state.kept(), threads));
                Ok((Ok(state.table().push_child(stream, &handle)?),))
            })
        },
    )?;
    linker.func_wrap_async(
        "[static]outgoing-value.finish",
        |mut store: StoreContextMut<'_, HostState>, (handle,): (Resource<Outgoing>,)| {
            Box::new(async move {
                let state = store.data_mut();
                let (value, threads) = (
                    state.table().delete(handle)?,
                    state.account().threads.clone(),
                );
                Ok((finish(value, &threads).await,))
            })
        },
    )
}

/// Makes an object of what was written.
async fn finish(value: Outgoing, threads: &Threads) -> Result<(), String> {
    let Outgoing {
        target, writing, ..
    } = value;
    let Some((container, object)) = target else {
        return Err("the value was given to no container: call `write-data` before `finish`".to_owned());
    };
    let part = match writing {
        Some(writing) => writing.done().await?,
        None => {
            let home = Arc::clone(&container);
            blocking(threads, move || home.part()).await?
        }
    };
    blocking(threads, move || part.finish(&container, &object)).await
}

/// Does what waits for the disk on a thread of the package's, where it holds up nobody.
pub(super) async fn blocking<T: Send + 'static>(
    threads: &Threads,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, String> {
    threads.begin(work).await.map_err(|error| error.to_string())
}

fn link_incoming(linker: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    linker.func_wrap_async(
        "[static]incoming-value.incoming-value-consume-sync",
        |mut store: StoreContextMut<'_, HostState>, (handle,): (Resource<Incoming>,)| {
            Box::new(async move {
                let state = store.data_mut();
                let value = state.table().delete(handle)?;
                let length = usize::try_from(value.length).unwrap_or(usize::MAX);
                let charge = match state.kept().charge(length) {
                    Ok(charge) => charge,
                    Err(error) => return Ok((Err(error.to_string()),)),
                };
                let threads = state.account().threads.clone();
                let read = blocking(&threads, move || {
                    let mut bytes = vec![0; length];
                    value.file.read_exact_at(&mut bytes, value.from)?;
                    Ok(bytes)
                });
                let read = read.await;
                drop(charge);
                Ok((read,))
            })
        },
    )?;
    linker.func_wrap(
        "[static]incoming-value.incoming-value-consume-async",
        |mut store: StoreContextMut<'_, HostState>, (handle,): (Resource<Incoming>,)| {
            let state = store.data_mut();
            let value = state.table().delete(handle)?;
            let charge = match state.kept().charge(CHUNK) {
                Ok(charge) => charge,
                Err(error) => return Ok((Err(error.to_string()),)),
            };
            let threads = state.account().threads.clone();
            let stream: DynInputStream = Box::new(Reader::new(value, charge, threads));
            Ok((Ok(state.table().push(stream)?),))
        },
    )?;
    linker.func_wrap(
        "[method]incoming-value.size",
        |mut store: StoreContextMut<'_, HostState>, (handle,): (Resource<Incoming>,)| {
            Ok((store.data_mut().table().get(&handle)?.length,))
        },
    )
}
