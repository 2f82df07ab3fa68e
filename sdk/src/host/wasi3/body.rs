//! Bodies in and out.

use wasip3::{
    http::types::{ErrorCode, Trailers},
    wit_bindgen::{FutureReader, FutureWriter, StreamReader, StreamResult, StreamWriter},
    wit_future, wit_stream,
};

use crate::{
    BodyError, Error, HeaderMap,
    fields::entries,
    host::{
        failure::words,
        fields::{fields, header_map},
        upload::beside,
    },
    stream::Production,
};

/// The most that one read asks for: 64 KiB, more than a connection delivers at once, less than
/// makes the instance's memory grow.
const READ_BYTES: usize = 64 << 10;

/// The end of a body: its trailers, or what broke it off.
pub(super) type End = Result<Option<Trailers>, ErrorCode>;

/// A body that arrives.
pub(crate) struct Source {
    stream: Option<StreamReader<u8>>,
    end: Option<FutureReader<End>>,
    /// What came behind it, once it has ended well.
    trailers: HeaderMap,
    /// The upload that goes on while this arrives, for calls outward.
    upload: Option<Production>,
}

impl Source {
    /// Of nothing: an empty body.
    pub(super) fn new(body: Option<(StreamReader<u8>, FutureReader<End>)>) -> Self {
        let (stream, end) = body.unzip();
        Source {
            stream,
            end,
            trailers: HeaderMap::new(),
            upload: None,
        }
    }

    pub(super) fn with_upload(mut self, upload: Option<Production>) -> Self {
        self.upload = upload;
        self
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, BodyError> {
        while let Some(stream) = &mut self.stream {
            let reading = stream.read(Vec::with_capacity(READ_BYTES));
            let (result, chunk) = beside(&mut self.upload, reading).await;
            if !matches!(result, StreamResult::Complete(_)) {
                self.stream = None;
            }
            if !chunk.is_empty() {
                return Ok(Some(chunk));
            }
        }
        self.finish().await?;
        Ok(None)
    }

    pub(crate) async fn trailers(mut self) -> Result<HeaderMap, BodyError> {
        self.stream = None;
        self.finish().await?;
        Ok(self.trailers)
    }

    /// Only the end tells whether it was all.
    async fn finish(&mut self) -> Result<(), BodyError> {
        let Some(end) = self.end.take() else {
            return Ok(());
        };
        match beside(&mut self.upload, end.into_future()).await {
            Ok(Some(trailers)) => {
                self.trailers = header_map(trailers.copy_all());
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(code) => Err(BodyError::Failed(words(&code))),
        }
    }
}

/// A body that is sent.
pub(crate) struct Sink(StreamWriter<u8>);

impl Sink {
    pub(crate) async fn write_all(&mut self, bytes: &[u8]) -> Result<(), BodyError> {
        self.write_owned(bytes.to_vec()).await
    }

    pub(super) async fn write_owned(&mut self, bytes: Vec<u8>) -> Result<(), BodyError> {
        if bytes.is_empty() || self.0.write_all(bytes).await.is_empty() {
            Ok(())
        } else {
            Err(BodyError::Closed)
        }
    }

    /// What was written is with the host.
    pub(crate) async fn flush(&mut self) -> Result<(), BodyError> {
        Ok(())
    }
}

/// A body to be written: the stream, its end, and both ends of the host's.
pub(super) fn open() -> (Sink, Ending, StreamReader<u8>, FutureReader<End>) {
    let (stream, contents) = wit_stream::new();
    let (end, trailers) = cut_unless_written();
    (Sink(stream), end, contents, trailers)
}

/// The end of a body that has none.
pub(super) fn nothing() -> FutureReader<End> {
    let (_, trailers) = wit_future::new(|| Ok(None));
    trailers
}

fn cut_unless_written() -> (Ending, FutureReader<End>) {
    let (end, trailers) = wit_future::new(|| Err(ErrorCode::InternalError(None)));
    (Ending(end), trailers)
}

/// The end of a body that is written: dropped unfinished, it tells the host to cut the connection.
pub(super) struct Ending(FutureWriter<End>);

impl Ending {
    /// Ends the body, with trailers if there are any. Its stream has to be gone.
    pub(super) async fn finish(self, trailers: &HeaderMap) -> Result<(), Error> {
        let trailers = if trailers.is_empty() {
            None
        } else {
            Some(fields(&entries(trailers)).map_err(|error| Error::internal(format!("{error:?}")))?)
        };
        let written = self.0.write(Ok(trailers)).await;
        written.map_err(|_| Error::from(BodyError::Closed))
    }
}
