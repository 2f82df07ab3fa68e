//! Bodies in and out.

use wasip2::{
    http::types::{IncomingBody, OutgoingBody},
    io::streams::{InputStream, OutputStream, StreamError},
};

use super::executor::wait;
use crate::{
    BodyError, HeaderMap,
    host::{failure::words, fields::header_map, upload::beside},
    stream::Production,
};

/// The most that one read asks for: 64 KiB, more than a connection delivers at once, less than
/// makes the instance's memory grow.
const READ_BYTES: u64 = 64 << 10;

/// A body that arrives.
pub(crate) struct Source {
    // The order of the fields is the order of dropping: a stream goes before its body.
    stream: Option<InputStream>,
    body: Option<IncomingBody>,
    /// The upload that goes on while this arrives, for calls outward.
    upload: Option<Production>,
}

impl Source {
    /// Of nothing: an empty body.
    pub(super) fn new(body: Option<IncomingBody>) -> Self {
        let stream = body.as_ref().and_then(|body| body.stream().ok());
        Source {
            stream,
            body,
            upload: None,
        }
    }

    pub(super) fn with_upload(mut self, upload: Option<Production>) -> Self {
        self.upload = upload;
        self
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, BodyError> {
        loop {
            let Some(stream) = &self.stream else {
                return Ok(None);
            };
            match stream.read(READ_BYTES) {
                Ok(chunk) if !chunk.is_empty() => return Ok(Some(chunk)),
                Ok(_) => beside(&mut self.upload, wait(stream.subscribe())).await,
                Err(error) => {
                    self.stream = None;
                    // Closed is how a body that is complete ends.
                    return match failure(error) {
                        BodyError::Closed => Ok(None),
                        error => Err(error),
                    };
                }
            }
        }
    }

    pub(crate) async fn trailers(mut self) -> Result<HeaderMap, BodyError> {
        drop(self.stream.take());
        let Some(body) = self.body.take() else {
            return Ok(HeaderMap::new());
        };
        let trailers = IncomingBody::finish(body);
        loop {
            match trailers.get() {
                Some(Ok(Ok(fields))) => {
                    let entries = fields.map(|fields| fields.entries());
                    return Ok(header_map(entries.unwrap_or_default()));
                }
                Some(Ok(Err(code))) => return Err(BodyError::Failed(words(&code))),
                Some(Err(())) => return Ok(HeaderMap::new()),
                None => beside(&mut self.upload, wait(trailers.subscribe())).await,
            }
        }
    }
}

/// A body that is sent.
pub(crate) struct Sink(OutputStream);

impl Sink {
    /// The body's stream; it must be dropped before the body is finished.
    pub(super) fn new(body: &OutgoingBody) -> Option<Self> {
        body.write().ok().map(Sink)
    }

    /// Writes all of it if there is room for it now; says whether it did.
    pub(super) fn write_at_once(&self, bytes: &[u8]) -> Result<bool, BodyError> {
        let room = self.0.check_write().map_err(failure)?;
        if bytes.len() as u64 > room {
            return Ok(false);
        }
        self.0.write(bytes).map_err(failure)?;
        Ok(true)
    }

    pub(crate) async fn write_all(&mut self, mut bytes: &[u8]) -> Result<(), BodyError> {
        while !bytes.is_empty() {
            let room = self.room().await?;
            let (now, rest) = bytes.split_at(bytes.len().min(room));
            self.0.write(now).map_err(failure)?;
            bytes = rest;
        }
        Ok(())
    }

    pub(crate) async fn flush(&mut self) -> Result<(), BodyError> {
        self.0.flush().map_err(failure)?;
        // There is no room again until the flush is done.
        self.room().await.map(|_| ())
    }

    /// Waits until bytes may be written, and returns how many: at least one.
    async fn room(&self) -> Result<usize, BodyError> {
        loop {
            match self.0.check_write().map_err(failure)? {
                0 => wait(self.0.subscribe()).await,
                room => return Ok(usize::try_from(room).unwrap_or(usize::MAX)),
            }
        }
    }
}

fn failure(error: StreamError) -> BodyError {
    match error {
        StreamError::Closed => BodyError::Closed,
        StreamError::LastOperationFailed(error) => BodyError::Failed(error.to_debug_string()),
    }
}
