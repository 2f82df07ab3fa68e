//! Code that instances are made of.

use std::sync::Arc;

use wasmtime_wasi_http::p2::bindings::ProxyPre;

use super::host::HostState;
use crate::engine::Images;

/// A component ready to be instantiated.
pub(crate) struct Loaded {
    /// Its imports are resolved; an instance costs microseconds.
    pub handler: ProxyPre<HostState>,
    /// The first contents of its memories, where they are mapped.
    pub images: Option<Arc<Images>>,
    /// The length of its compiled code, in bytes.
    pub bytes: usize,
    /// Bytes of an instance's globals, which count as its memory.
    pub globals: u64,
}
