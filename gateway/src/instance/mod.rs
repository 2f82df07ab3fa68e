//! Runs one request in a fresh instance (or in a reused one): its store, limits, deadline and bodies.

mod answer;
mod backtrace;
mod budget;
mod call;
mod command;
mod concurrent;
mod deadline;
mod file_places;
mod file_stream;
mod handed;
mod holdings;
mod host;
mod kept_stream;
mod label;
mod loaded;
mod long_lists;
mod memory;
mod next;
mod open_files;
mod outgoing_response;
mod output;
mod pace;
mod proxy;
mod remains;
mod request_body;
mod response_body;
mod reuse;
mod script;
mod service;
mod store;
mod turns;
mod unread;

pub(crate) use call::{Call, run};
pub(crate) use file_places::FilePlace;
pub(crate) use host::HostState;
pub(crate) use loaded::{Handler, Loaded};
pub(crate) use output::LogLevel;
pub(crate) use request_body::RequestBody;
pub(crate) use response_body::{BodyError, GuestBody, RouteTimer};
pub(crate) use reuse::Reuse;
pub(crate) use script::Mount;

use wasmtime::component::Linker;

use crate::engine::World;

/// Replaces functions in a linker that has `wasi:http` and WASI by ours, and adds the handler behind a middleware.
///
/// # Errors
/// When the linker refuses a function.
pub(crate) fn link(linker: &mut Linker<HostState>, world: World) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let linked = outgoing_response::link(linker)
        .and_then(|()| open_files::link(linker, world))
        .and_then(|()| long_lists::link(linker, world));
    linker.allow_shadowing(false);
    linked?;
    if world.is_concurrent() {
        next::link(linker)?;
    }
    Ok(())
}
