//! Access to the folders that a package may read: limits on a guest's open files, on read-ahead and on threads.

use std::any::Any;

use wasmtime::{
    StoreContextMut,
    component::{Linker, Resource},
};
use wasmtime_wasi::{
    filesystem::WasiFilesystemView as _,
    p2::bindings::filesystem::types::{
        Advice, Descriptor, DescriptorFlags, ErrorCode, HostDescriptor as _, OpenFlags, PathFlags,
    },
};
use wasmtime_wasi_io::streams::DynInputStream;

use super::{
    file_places::FilePlace,
    file_stream::{FileStream, READ_AHEAD},
    host::HostState,
};
use crate::{account::ThreadPlace, engine::World};

impl HostState {
    /// Takes a place for a file that the host opens for the guest; `None` if the guest, or all guests, have too many.
    pub(crate) fn file_place(&mut self) -> Option<FilePlace> {
        FilePlace::take(self.host_files.get_or_insert_default())
    }

    /// Returns whether the guest may open one more file. A stream keeps its file open, also without the descriptor that
    /// it was made of, and cannot be told from other streams: all of them count.
    fn may_open(&mut self) -> bool {
        let table = &mut self.memory.table;
        let open = table
            .iter_mut()
            .filter(|resource| is_open(&**resource))
            .count();
        self.open_files.take(open)
    }

    /// Gives the guest a stream of a file, as wasmtime does, that counts as its memory.
    fn read_file(
        &mut self,
        file: Resource<Descriptor>,
        from: u64,
    ) -> wasmtime::Result<Result<Resource<DynInputStream>, ErrorCode>> {
        let charge = self.kept().charge(READ_AHEAD)?;
        let stream = match self.filesystem().read_via_stream(file, from) {
            Ok(stream) => stream,
            Err(error) => return Ok(Err(error.downcast()?)),
        };
        let table = &mut self.memory.table;
        let inner = table.delete(stream)?;
        let threads = self.account().threads.clone();
        let counted: DynInputStream = Box::new(FileStream::new(inner, charge, threads));
        Ok(Ok(self.memory.table.push(counted)?))
    }

    /// Waits for a thread of the package's, for a call that waits for the disk.
    fn thread(&self) -> impl Future<Output = wasmtime::Result<ThreadPlace>> + Send + use<> {
        let threads = self.account().threads.clone();
        async move { Ok(threads.place().await?) }
    }
}

fn is_open(resource: &(dyn Any + Send)) -> bool {
    resource.is::<Descriptor>() || resource.is::<DynInputStream>()
}

/// Has each of these calls, which wait for the disk, wait for a thread of the package's first. The others that do so
/// would write, and are refused before.
macro_rules! on_threads {
    ($types:ident, $($name:literal => $method:ident($($argument:ident: $type:ty),*);)*) => {$(
        $types.func_wrap_async(
            $name,
            |mut store: StoreContextMut<'_, HostState>, (file, $($argument,)*): (Resource<Descriptor>, $($type,)*)| {
                Box::new(async move {
                    let state = store.data_mut();
                    let _until_it_is_done = state.thread().await?;
                    let done = state.filesystem().$method(file, $($argument),*).await;
                    Ok((match done {
                        Ok(done) => Ok(done),
                        Err(error) => Err(error.downcast()?),
                    },))
                })
            },
        )?;
    )*};
}

/// Limits a guest's open files and the threads that block on them, and keeps folders to the interface of WASI 0.2,
/// through which language runtimes read them in both worlds.
///
/// # Errors
/// When the linker does not take it.
pub(super) fn link(linker: &mut Linker<HostState>, world: World) -> wasmtime::Result<()> {
    let mut types = linker.instance("wasi:filesystem/types@0.2.12")?;
    types.func_wrap_async(
        "[method]descriptor.open-at",
        |mut store: StoreContextMut<'_, HostState>,
         (folder, follow, path, how, flags): (
            Resource<Descriptor>,
            PathFlags,
            String,
            OpenFlags,
            DescriptorFlags,
        )| {
            Box::new(async move {
                let state = store.data_mut();
                if !state.may_open() {
                    return Ok((Err(ErrorCode::Quota),));
                }
                let _until_it_is_open = state.thread().await?;
                let mut files = state.filesystem();
                let opened = files.open_at(folder, follow, path, how, flags).await;
                Ok((match opened {
                    Ok(file) => Ok(file),
                    Err(error) => Err(error.downcast()?),
                },))
            })
        },
    )?;
    types.func_wrap(
        "[method]descriptor.read-via-stream",
        |mut store: StoreContextMut<'_, HostState>, (file, from): (Resource<Descriptor>, u64)| {
            Ok((store.data_mut().read_file(file, from)?,))
        },
    )?;
    on_threads!(
        types,
        "[method]descriptor.advise" => advise(from: u64, length: u64, advice: Advice);
        "[method]descriptor.get-flags" => get_flags();
        "[method]descriptor.get-type" => get_type();
        "[method]descriptor.metadata-hash" => metadata_hash();
        "[method]descriptor.metadata-hash-at" => metadata_hash_at(follow: PathFlags, path: String);
        "[method]descriptor.read" => read(length: u64, from: u64);
        "[method]descriptor.read-directory" => read_directory();
        "[method]descriptor.readlink-at" => readlink_at(path: String);
        "[method]descriptor.stat" => stat();
        "[method]descriptor.stat-at" => stat_at(follow: PathFlags, path: String);
        "[method]descriptor.sync" => sync();
        "[method]descriptor.sync-data" => sync_data();
    );
    if world.is_concurrent() {
        let mut preopens = linker.instance("wasi:filesystem/preopens@0.3.0")?;
        preopens.func_wrap(
            "get-directories",
            |_: StoreContextMut<'_, HostState>, (): ()| Ok((Vec::<(Resource<Descriptor>, String)>::new(),)),
        )?;
    }
    Ok(())
}
