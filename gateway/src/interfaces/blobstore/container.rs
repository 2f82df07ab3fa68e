//! `wasi:blobstore/container`: the objects of a container.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use wasmtime::{
    StoreContextMut,
    component::{ComponentType, LinkerInstance, Lower, Resource, ResourceType},
};
use wasmtime_wasi_io::IoView as _;

use super::{
    stream::Incoming,
    value::{Outgoing, blocking},
};
use crate::{
    account::{Charge, Container, Kept, Threads},
    instance::HostState,
    interfaces::handle::{behind, on_handle},
};

/// The objects that one listing has at most: their names are read at once.
const MOST_LISTED: usize = 100_000;

/// A container that a guest has open.
#[derive(Clone)]
pub(super) struct Opened {
    pub(super) container: Arc<Container>,
    pub(super) kept: Kept,
    pub(super) threads: Threads,
}

/// `wasi:blobstore/types.container-metadata`.
#[derive(ComponentType, Lower)]
#[component(record)]
struct ContainerMetadata {
    #[component(name = "name")]
    name: String,
    /// Seconds since 1970.
    #[component(name = "created-at")]
    created_at: u64,
}

/// `wasi:blobstore/types.object-metadata`.
#[derive(ComponentType, Lower)]
#[component(record)]
struct ObjectMetadata {
    #[component(name = "name")]
    name: String,
    #[component(name = "container")]
    container: String,
    /// Seconds since 1970.
    #[component(name = "created-at")]
    created_at: u64,
    /// Bytes.
    #[component(name = "size")]
    size: u64,
}

/// The resource `stream-object-names`: what is left of a listing, the last first.
pub(super) struct Names {
    left: Vec<String>,
    /// Counts them as the instance's memory.
    _charge: Charge,
}

fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Puts the interface into a linker.
///
/// # Errors
/// When the linker does not take it.
pub(super) fn link(linker: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    linker.resource(
        "container",
        ResourceType::host::<Opened>(),
        |mut store, handle| {
            let handle = Resource::<Opened>::new_own(handle);
            store.data_mut().table().delete(handle)?;
            Ok(())
        },
    )?;
    on_handle(
        linker,
        "[method]container.name",
        |it: Opened, (): ()| async move { Ok::<_, String>(it.container.name().to_owned()) },
    )?;
    on_handle(
        linker,
        "[method]container.info",
        |it: Opened, (): ()| async move {
            let container = Arc::clone(&it.container);
            let made = blocking(&it.threads, move || container.made()).await?;
            Ok::<_, String>(ContainerMetadata {
                name: it.container.name().to_owned(),
                created_at: seconds(made),
            })
        },
    )?;
    link_values(linker)?;
    link_objects(linker)?;
    link_names(linker)
}

fn link_values(linker: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    linker.func_wrap_async(
        "[method]container.get-data",
        |mut store: StoreContextMut<'_, HostState>,
         (handle, name, start, end): (Resource<Opened>, String, u64, u64)| {
            Box::new(async move {
                let it = behind(&mut store, &handle)?;
                let Some(place) = store.data_mut().file_place() else {
                    return Ok((Err("too many blobs are open".to_owned()),));
                };
                let opened = blocking(&it.threads, move || {
                    let file = it.container.read(&name)?;
                    let size = file.metadata()?.len();
                    Ok((file, size))
                });
                let (file, size) = match opened.await {
                    Ok(opened) => opened,
                    Err(error) => return Ok((Err(error),)),
                };
                // Both ends are inclusive.
                let end = end.saturating_add(1).min(size);
                let value = Incoming {
                    file: Arc::new(file),
                    from: start,
                    length: end.saturating_sub(start),
                    _place: place,
                };
                Ok((Ok(store.data_mut().table().push(value)?),))
            })
        },
    )?;
    linker.func_wrap(
        "[method]container.write-data",
        |mut store: StoreContextMut<'_, HostState>,
         (handle, name, value): (Resource<Opened>, String, Resource<Outgoing>)| {
            let it = behind(&mut store, &handle)?;
            let state = store.data_mut();
            if name.len() > MOST_OF_A_NAME {
                return Ok((Err(format!(
                    "an object's name has {MOST_OF_A_NAME} bytes at most"
                )),));
            }
            state.table().get_mut(&value)?.target = Some((it.container, name));
            Ok((Ok::<_, String>(()),))
        },
    )
}

/// The longest name of an object that is looked at, in bytes.
const MOST_OF_A_NAME: usize = 240;

fn link_objects(linker: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    on_handle(
        linker,
        "[method]container.delete-object",
        |it: Opened, (name,): (String,)| async move { blocking(&it.threads, move || it.container.remove(&name)).await },
    )?;
    on_handle(
        linker,
        "[method]container.delete-objects",
        |it: Opened, (names,): (Vec<String>,)| async move {
            blocking(&it.threads, move || {
                names.iter().try_for_each(|name| it.container.remove(name))
            })
            .await
        },
    )?;
    on_handle(
        linker,
        "[method]container.has-object",
        |it: Opened, (name,): (String,)| async move { blocking(&it.threads, move || it.container.has(&name)).await },
    )?;
    on_handle(
        linker,
        "[method]container.object-info",
        |it: Opened, (name,): (String,)| async move {
            let (container, object) = (Arc::clone(&it.container), name.clone());
            let (size, at) = blocking(&it.threads, move || container.info(&object)).await?;
            Ok::<_, String>(ObjectMetadata {
                name,
                container: it.container.name().to_owned(),
                created_at: seconds(at),
                size,
            })
        },
    )?;
    on_handle(
        linker,
        "[method]container.clear",
        |it: Opened, (): ()| async move {
            blocking(&it.threads, move || {
                let names = it.container.objects(usize::MAX)?;
                names.iter().try_for_each(|name| it.container.remove(name))
            })
            .await
        },
    )
}

fn link_names(linker: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    linker.resource(
        "stream-object-names",
        ResourceType::host::<Names>(),
        |mut store, handle| {
            let handle = Resource::<Names>::new_own(handle);
            store.data_mut().table().delete(handle)?;
            Ok(())
        },
    )?;
    linker.func_wrap_async(
        "[method]container.list-objects",
        |mut store: StoreContextMut<'_, HostState>, (handle,): (Resource<Opened>,)| {
            Box::new(async move {
                let it = behind(&mut store, &handle)?;
                let kept = it.kept.clone();
                let listed = blocking(&it.threads, move || it.container.objects(MOST_LISTED)).await;
                let mut left = match listed {
                    Ok(names) => names,
                    Err(error) => return Ok((Err(error),)),
                };
                left.reverse();
                let bytes = left.iter().map(|name| name.len() + size_of::<String>());
                let charge = match kept.charge(bytes.sum()) {
                    Ok(charge) => charge,
                    Err(error) => return Ok((Err(error.to_string()),)),
                };
                let names = Names {
                    left,
                    _charge: charge,
                };
                Ok((Ok(store.data_mut().table().push(names)?),))
            })
        },
    )?;
    linker.func_wrap(
        "[method]stream-object-names.read-stream-object-names",
        |mut store: StoreContextMut<'_, HostState>, (handle, length): (Resource<Names>, u64)| {
            let names = store.data_mut().table().get_mut(&handle)?;
            let (taken, is_end) = names.take(length);
            Ok((Ok::<_, String>((taken, is_end)),))
        },
    )?;
    linker.func_wrap(
        "[method]stream-object-names.skip-stream-object-names",
        |mut store: StoreContextMut<'_, HostState>, (handle, number): (Resource<Names>, u64)| {
            let names = store.data_mut().table().get_mut(&handle)?;
            let (skipped, is_end) = names.take(number);
            Ok((Ok::<_, String>((skipped.len() as u64, is_end)),))
        },
    )
}

impl Names {
    fn take(&mut self, number: u64) -> (Vec<String>, bool) {
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        let from = self.left.len().saturating_sub(number);
        let mut taken = self.left.split_off(from);
        taken.reverse();
        (taken, self.left.is_empty())
    }
}
