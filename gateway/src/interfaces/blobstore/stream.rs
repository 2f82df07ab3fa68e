//! The streams of values: read and written in parts, on threads where they block no other guest.

use std::{fs::File, io, os::unix::fs::FileExt as _, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;
use wasmtime_wasi_io::{
    poll::Pollable,
    streams::{InputStream, OutputStream, StreamError, StreamResult},
};

use crate::{
    account::{Charge, Kept, Part, Threads, Work},
    instance::FilePlace,
};

/// The most that is read of a value at a time, in bytes.
pub(super) const CHUNK: usize = 64 << 10;

/// The most that a guest may write at once, in bytes.
const MOST_AT_ONCE: usize = 1 << 20;

/// A value that is being written.
pub(super) struct Writing {
    part: Arc<Mutex<Option<Part>>>,
    /// What was under way when the guest dropped the stream, or what went wrong.
    left: Mutex<Left>,
}

enum Left {
    Nothing,
    UnderWay(Work<()>),
    Failed(String),
}

impl Writing {
    pub(super) fn new(part: Part) -> Self {
        Self {
            part: Arc::new(Mutex::new(Some(part))),
            left: Mutex::new(Left::Nothing),
        }
    }

    /// The value, written whole.
    pub(super) async fn done(&self) -> Result<Part, String> {
        let left = std::mem::replace(&mut *self.left.lock(), Left::Nothing);
        match left {
            Left::Nothing => {}
            Left::Failed(why) => return Err(why),
            Left::UnderWay(writing) => writing.await.map_err(|error| error.to_string())?,
        }
        let part = self.part.lock().take();
        part.ok_or_else(|| "the value was finished before".to_owned())
    }
}

/// The stream by which a guest writes a value.
pub(super) struct Writer {
    of: Arc<Writing>,
    kept: Kept,
    threads: Threads,
    under_way: Option<Work<()>>,
    failed: Option<String>,
}

impl Writer {
    pub(super) fn new(of: Arc<Writing>, kept: Kept, threads: Threads) -> Self {
        Self {
            of,
            kept,
            threads,
            under_way: None,
            failed: None,
        }
    }

    fn check(&self) -> StreamResult<()> {
        match &self.failed {
            None => Ok(()),
            Some(why) => Err(StreamError::LastOperationFailed(wasmtime::Error::msg(
                why.clone(),
            ))),
        }
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Writer {
    async fn ready(&mut self) {
        if let Some(writing) = &mut self.under_way {
            let ended = writing.await;
            self.under_way = None;
            self.failed = ended.err().map(|error| error.to_string());
        }
    }
}

#[wasmtime_wasi::async_trait]
impl OutputStream for Writer {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.check()?;
        if self.under_way.is_some() || bytes.len() > MOST_AT_ONCE {
            return Err(StreamError::trap(
                "more was written than check-write allowed",
            ));
        }
        let charge = self
            .kept
            .charge(bytes.len())
            .map_err(|error| StreamError::Trap(error.into()))?;
        let part = Arc::clone(&self.of.part);
        self.under_way = Some(self.threads.begin(move || {
            let _until_it_is_written = charge;
            match &mut *part.lock() {
                Some(part) => part.write(&bytes),
                None => Ok(()),
            }
        }));
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.check()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.check()?;
        Ok(if self.under_way.is_some() {
            0
        } else {
            MOST_AT_ONCE
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let left = match (self.failed.take(), self.under_way.take()) {
            (Some(why), _) => Left::Failed(why),
            (None, Some(writing)) => Left::UnderWay(writing),
            (None, None) => Left::Nothing,
        };
        *self.of.left.lock() = left;
    }
}

/// The resource `incoming-value`: so many bytes of an object's file, which stays as it is while it is open.
pub(super) struct Incoming {
    pub(super) file: Arc<File>,
    pub(super) from: u64,
    pub(super) length: u64,
    pub(super) _place: FilePlace,
}

/// The stream by which a guest reads a value.
pub(super) struct Reader {
    value: Incoming,
    threads: Threads,
    under_way: Option<Work<Bytes>>,
    come: Option<io::Result<Bytes>>,
    _charge: Charge,
}

impl Reader {
    pub(super) fn new(value: Incoming, charge: Charge, threads: Threads) -> Self {
        Self {
            value,
            threads,
            under_way: None,
            come: None,
            _charge: charge,
        }
    }

    fn begin(&mut self) {
        let length = usize::try_from(self.value.length).map_or(CHUNK, |left| left.min(CHUNK));
        let (file, from) = (Arc::clone(&self.value.file), self.value.from);
        self.under_way = Some(self.threads.begin(move || {
            let mut bytes = vec![0; length];
            file.read_exact_at(&mut bytes, from)?;
            Ok(bytes.into())
        }));
        self.value.from += length as u64;
        self.value.length -= length as u64;
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Reader {
    async fn ready(&mut self) {
        if self.come.is_none() && self.under_way.is_none() && self.value.length > 0 {
            self.begin();
        }
        if let Some(reading) = &mut self.under_way {
            let read = reading.await;
            self.under_way = None;
            self.come = Some(read);
        }
    }
}

#[wasmtime_wasi::async_trait]
impl InputStream for Reader {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        match self.come.take() {
            Some(Ok(mut bytes)) => {
                let part = bytes.split_to(size.min(bytes.len()));
                self.come = Some(Ok(bytes)).filter(|rest| rest.as_ref().is_ok_and(|rest| !rest.is_empty()));
                Ok(part)
            }
            Some(Err(error)) => {
                self.value.length = 0;
                Err(StreamError::LastOperationFailed(error.into()))
            }
            None if self.under_way.is_some() => Ok(Bytes::new()),
            None if self.value.length == 0 => Err(StreamError::Closed),
            None => {
                self.begin();
                Ok(Bytes::new())
            }
        }
    }
}
