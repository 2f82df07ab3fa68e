//! The stream to which a guest writes a body that may never be sent: what is written counts as the guest's memory until
//! it is consumed.

use bytes::Bytes;
use wasmtime_wasi_io::{
    poll::Pollable,
    streams::{DynOutputStream, OutputStream, StreamError, StreamResult},
};

use crate::account::Kept;

/// A stream whose bytes are counted on their way.
pub(super) struct KeptStream {
    inner: DynOutputStream,
    kept: Kept,
}

impl KeptStream {
    pub(super) fn new(inner: DynOutputStream, kept: Kept) -> Self {
        Self { inner, kept }
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for KeptStream {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}

#[wasmtime_wasi::async_trait]
impl OutputStream for KeptStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let bytes = self
            .kept
            .keep(bytes)
            .map_err(|error| StreamError::Trap(error.into()))?;
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.inner.flush()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.inner.check_write()
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}
