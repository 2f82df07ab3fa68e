//! The stream from which a guest reads a file: what is read ahead counts as the guest's memory.

use bytes::Bytes;
use wasmtime_wasi_io::{
    poll::Pollable,
    streams::{DynInputStream, InputStream, StreamResult},
};

use crate::account::Charge;

/// The most that a stream of wasmtime's has read ahead, in bytes.
pub(super) const READ_AHEAD: usize = 64 << 10;

/// A stream of a file, with what counts for it.
pub(super) struct FileStream {
    pub(super) inner: DynInputStream,
    pub(super) _charge: Charge,
}

#[wasmtime_wasi::async_trait]
impl Pollable for FileStream {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}

#[wasmtime_wasi::async_trait]
impl InputStream for FileStream {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.inner.read(size)
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.inner.blocking_read(size).await
    }

    fn skip(&mut self, bytes: usize) -> StreamResult<usize> {
        self.inner.skip(bytes)
    }

    async fn blocking_skip(&mut self, bytes: usize) -> StreamResult<usize> {
        self.inner.blocking_skip(bytes).await
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}
