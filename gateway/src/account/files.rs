//! The folders that a package's guests may read. They are opened once for all instances, and reopened when another
//! folder has taken their place: releases are often swapped in by renaming.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path, sync::Arc};

use arc_swap::ArcSwapOption;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{
    FsPerms, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView,
    filesystem::{WasiFilesystemCtx, WasiFilesystemView as _},
};

use crate::config::Mount;

/// A package's folders.
#[derive(Default)]
pub(crate) struct Files(ArcSwapOption<OpenFolders>);

/// Open folders.
pub(crate) struct OpenFolders {
    /// Device and inode of the folders, in the order of the configuration; `None` for missing ones.
    seen: Vec<Option<(u64, u64)>>,
    filesystem: WasiFilesystemCtx,
}

impl Files {
    /// The current folders, read-only. Checking them costs a system call for each.
    pub(crate) fn now(&self, mounts: &[Mount]) -> Arc<OpenFolders> {
        let seen: Vec<_> = mounts.iter().map(|mount| identity(&mount.folder)).collect();
        if let Some(opened) = &*self.0.load()
            && opened.seen == seen
        {
            return Arc::clone(opened);
        }
        let filesystem = open(mounts);
        let opened = Arc::new(OpenFolders { seen, filesystem });
        self.0.store(Some(Arc::clone(&opened)));
        opened
    }
}

fn identity(folder: &Path) -> Option<(u64, u64)> {
    let found = fs::metadata(folder).ok().filter(fs::Metadata::is_dir)?;
    Some((found.dev(), found.ino()))
}

/// Opens the existing folders; a guest does not see missing ones.
fn open(mounts: &[Mount]) -> WasiFilesystemCtx {
    let mut builder = WasiCtxBuilder::new();
    for Mount { guest, folder } in mounts {
        if let Err(error) = builder.preopened_dir(folder, guest, FsPerms::ReadOnly) {
            tracing::warn!(folder = %folder.display(), %error, "a folder for guests cannot be opened: they do not see it");
        }
    }
    Bare::of(builder.build()).filesystem().ctx.clone()
}

/// Adds the folders to a guest's WASI context.
pub(crate) fn with_files(context: WasiCtx, files: &OpenFolders) -> WasiCtx {
    let mut bare = Bare::of(context);
    *bare.filesystem().ctx = files.filesystem.clone();
    bare.context
}

/// A context alone: its folders are accessible only through a view.
struct Bare {
    context: WasiCtx,
    table: ResourceTable,
}

impl Bare {
    fn of(context: WasiCtx) -> Self {
        Self {
            context,
            table: ResourceTable::new(),
        }
    }
}

impl WasiView for Bare {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.context,
            table: &mut self.table,
        }
    }
}
