//! The stream from which a guest reads a file: what is read ahead counts as the guest's memory, and a thread of the
//! package's share reads it.

use bytes::Bytes;
use wasmtime_wasi_io::{
    poll::Pollable,
    streams::{DynInputStream, InputStream, StreamResult},
};

use crate::account::{Charge, ThreadPlace, Threads};

/// The most that a stream of wasmtime's has read ahead, in bytes.
pub(super) const READ_AHEAD: usize = 64 << 10;

/// A stream of a file, with what counts for it.
pub(super) struct FileStream {
    inner: DynInputStream,
    _charge: Charge,
    threads: Threads,
    /// As long as a thread reads.
    reading: Option<ThreadPlace>,
    /// What was read is there, so that the next part of it needs no thread.
    has_come: bool,
}

impl FileStream {
    pub(super) fn new(inner: DynInputStream, charge: Charge, threads: Threads) -> Self {
        Self {
            inner,
            _charge: charge,
            threads,
            reading: None,
            has_come: false,
        }
    }

    async fn thread(&mut self) {
        if self.reading.is_none() {
            // They are never closed.
            self.reading = self.threads.place().await.ok();
        }
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for FileStream {
    async fn ready(&mut self) {
        self.thread().await;
        self.inner.ready().await;
        (self.reading, self.has_come) = (None, true);
    }
}

#[wasmtime_wasi::async_trait]
impl InputStream for FileStream {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if self.reading.is_none() && !self.has_come {
            match self.threads.try_place() {
                Ok(place) => self.reading = Some(place),
                // Nothing has come yet, and who waits for it waits for a thread.
                Err(_) => return Ok(Bytes::new()),
            }
        }
        let read = self.inner.read(size);
        self.has_come = false;
        if !matches!(&read, Ok(bytes) if bytes.is_empty()) {
            self.reading = None;
        }
        read
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.thread().await;
        let read = self.inner.blocking_read(size).await;
        (self.reading, self.has_come) = (None, false);
        read
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}
