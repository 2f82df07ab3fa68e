//! Loaded code, of which instances are made.

use std::sync::Arc;

use wasmtime::Engine;
use wasmtime_wasi::{p2::bindings::CommandPre, p3};
use wasmtime_wasi_http::{p2::bindings::ProxyPre, p3::bindings::ServicePre};

use super::host::HostState;
use crate::engine::Images;

/// A component ready to be instantiated.
pub(crate) struct Loaded {
    /// Its imports are resolved; an instance costs microseconds.
    pub handler: Handler,
    /// The first contents of its memories, where they are mapped.
    pub images: Option<Arc<Images>>,
    /// The length of its compiled code, in bytes.
    pub bytes: usize,
    /// Bytes of an instance's globals, which count as its memory.
    pub globals: u64,
}

/// The handler of a component, by the world that it is made for.
pub(crate) enum Handler {
    /// Of WASI 0.2.
    Proxy(ProxyPre<HostState>),
    /// Of WASI 0.3.
    Service(ServicePre<HostState>),
    /// A program, run as CGI has it.
    Command(CommandPre<HostState>),
    /// One of WASI 0.3.
    CommandOf03(p3::bindings::CommandPre<HostState>),
}

impl Handler {
    /// The engine that it was compiled by.
    pub(super) fn engine(&self) -> &Engine {
        match self {
            Self::Proxy(proxy) => proxy.engine(),
            Self::Service(service) => service.engine(),
            Self::Command(command) => command.engine(),
            Self::CommandOf03(command) => command.engine(),
        }
    }
}
