//! Loaded code, of which instances are made.

use std::sync::Arc;

use wasmtime::Engine;
use wasmtime_wasi::{p2::bindings::CommandPre, p3};
use wasmtime_wasi_http::{p2::bindings::ProxyPre, p3::bindings::ServicePre};

use super::host::HostState;
use crate::engine::Images;

/// A component ready to be instantiated.
pub(crate) struct Loaded {
    /// Its imports are resolved; instantiating takes microseconds.
    pub handler: Handler,
    /// The initial contents of its memories, if they are mapped.
    pub images: Option<Arc<Images>>,
    /// The length of its compiled code, in bytes.
    pub bytes: usize,
    /// The size of an instance's globals, which count as its memory.
    pub globals: u64,
}

/// A component's handler, by its world.
pub(crate) enum Handler {
    /// WASI 0.2.
    Proxy(ProxyPre<HostState>),
    /// WASI 0.3.
    Service(ServicePre<HostState>),
    /// A program (CGI).
    Command(CommandPre<HostState>),
    /// A WASI 0.3 program (CGI).
    CommandOf03(p3::bindings::CommandPre<HostState>),
}

impl Handler {
    /// The engine that it was compiled for.
    pub(super) fn engine(&self) -> &Engine {
        match self {
            Self::Proxy(proxy) => proxy.engine(),
            Self::Service(service) => service.engine(),
            Self::Command(command) => command.engine(),
            Self::CommandOf03(command) => command.engine(),
        }
    }
}
