//! Loads compiled code from disk, ready to be instantiated.

use std::{fs::File, os::fd::AsRawFd as _};

use wasmtime::{
    Engine,
    component::{Component, Linker},
};
use wasmtime_wasi::{p2::bindings::CommandPre, p3};
use wasmtime_wasi_http::{p2::bindings::ProxyPre, p3::bindings::ServicePre};

use super::{
    super::{
        PackageError,
        cache::{CompiledCode, Unfit},
    },
    Loader, Registered,
};
use crate::{
    egress,
    engine::{EngineId, World},
    instance::{self, Handler, HostState, Loaded},
    interfaces,
};

impl Loader {
    /// Maps compiled code and resolves its imports.
    ///
    /// # Errors
    /// When the file is missing, or proven to be damaged and removed; or when it cannot be loaded now, for example for
    /// lack of descriptors or mappings, which may work later.
    pub(crate) fn load(&self, registered: &Registered) -> Result<Loaded, PackageError> {
        let (id, code) = (registered.choice.id(), &registered.code);
        let _loading = self.metrics.load.start_timer();
        code.check().map_err(|unfit| lost(code, unfit))?;
        let engine = self.engine(id, code.path())?;
        let loaded = map(engine, code).and_then(|component| {
            let image = component.image_range();
            let bytes = image.end.addr().saturating_sub(image.start.addr());
            Ok(Loaded {
                handler: self.prepare(id, &component)?,
                images: registered.images.open(code)?,
                bytes,
                globals: registered.globals,
            })
        });
        // The error may be due to the machine as well as to the file: only the file itself is proof.
        loaded.map_err(|error| match code.verify() {
            Err(unfit @ (Unfit::Gone | Unfit::Damaged)) => lost(code, unfit),
            Ok(()) | Err(Unfit::Unreadable(_)) => PackageError::Load {
                path: code.path().to_owned(),
                error: format!("{error:#}"),
            },
        })
    }

    pub(super) fn prepare(&self, id: EngineId, component: &Component) -> wasmtime::Result<Handler> {
        let linker = self
            .linkers
            .get_or_try(id, || link(component.engine(), id.world))?;
        let prepared = match interfaces::link(linker, component)? {
            Some(linker) => linker.instantiate_pre(component)?,
            None => linker.instantiate_pre(component)?,
        };
        Ok(match id.world {
            World::Proxy => Handler::Proxy(ProxyPre::new(prepared)?),
            World::Service => Handler::Service(ServicePre::new(prepared)?),
            World::Command => Handler::Command(CommandPre::new(prepared)?),
            World::CommandOf03 => Handler::CommandOf03(p3::bindings::CommandPre::new(prepared)?),
        })
    }
}

/// The package's error for unfit code; damaged code is removed.
fn lost(code: &CompiledCode, unfit: Unfit) -> PackageError {
    let path = code.path().to_owned();
    match unfit {
        Unfit::Gone => PackageError::CodeLost { path },
        Unfit::Damaged => {
            code.discard();
            PackageError::CodeLost { path }
        }
        Unfit::Unreadable(error) => PackageError::Load {
            path,
            error: error.to_string(),
        },
    }
}

#[allow(unsafe_code, reason = "compiled code is trusted like our own binary")]
fn map(engine: &Engine, code: &CompiledCode) -> wasmtime::Result<Component> {
    // SAFETY: the file was written by `CodeCache::keep` from the output of this engine, in a directory that only our
    // user can enter, and `CompiledCode::check` has just held: it is the file whose seal was checked when it was
    // registered, or one whose seal fits now. Wasmtime itself refuses code of another version or configuration.
    unsafe { Component::deserialize_file(engine, code.path()) }
}

#[allow(unsafe_code, reason = "compiled code is trusted like our own binary")]
pub(super) fn map_made(engine: &Engine, code: &File) -> wasmtime::Result<Component> {
    let open = if cfg!(target_os = "linux") {
        "/proc/self/fd"
    } else {
        "/dev/fd"
    };
    let path = format!("{open}/{}", code.as_raw_fd());
    // SAFETY: the file has no name, so that nobody could write to it but who made it, which has ended. That was our
    // compiler's process, our own binary with an engine of the same configuration; or what is in it has the digest that
    // somebody vouches for whom the configuration trusts with native code (`registry::code`), and says that it was made
    // by such a one. Wasmtime itself refuses code of another version or configuration.
    unsafe { Component::deserialize_file(engine, path) }
}

/// All interfaces of the world and of `wasi:cli/imports`, and for WASI 0.3 also those of 0.2, which languages'
/// libraries use. Closed interfaces are closed by the context that they get and not by being absent, since a Rust guest
/// imports them whether it uses them or not.
fn link(engine: &Engine, world: World) -> wasmtime::Result<Linker<HostState>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    // Streams need only the resource table: through the WASI view each request would create a WASI context.
    linker.allow_shadowing(true);
    wasmtime_wasi_io::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    egress::add_to_linker(&mut linker)?;
    linker.allow_shadowing(false);
    if world.is_concurrent() {
        wasmtime_wasi::p3::add_to_linker(&mut linker)?;
        wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    }
    instance::link(&mut linker, world)?;
    Ok(linker)
}
