//! Code that instances are made of.

use wasmtime_wasi_http::p2::bindings::ProxyPre;

use super::host::HostState;

/// A component ready to be instantiated.
pub(crate) struct Loaded {
    /// Its imports are resolved; an instance costs microseconds.
    pub handler: ProxyPre<HostState>,
    /// The length of its compiled code, in bytes.
    pub bytes: usize,
    /// Bytes of an instance's globals, which count as its memory.
    pub globals: u64,
}
