//! Bodies in both directions, as blocking reads and writes.

use std::io::Write as _;

use wasip2::{
    http::types::{
        ErrorCode, Fields, IncomingBody, IncomingRequest, IncomingResponse, OutgoingBody, OutgoingRequest,
        OutgoingResponse, ResponseOutparam, Trailers, http_error_code,
    },
    io::streams::{InputStream, OutputStream, StreamError},
};

/// Most bytes asked of a body at once.
const CHUNK_BYTES: u64 = 64 * 1024;

/// A response whose head has been sent.
pub struct Answer {
    writer: OutgoingBodyWriter,
}

impl Answer {
    /// Sends the head; a header that the host refuses is left out.
    #[must_use]
    pub fn start(out: ResponseOutparam, status: u16, headers: &[(&str, &str)]) -> Self {
        let fields = Fields::new();
        for (name, value) in headers {
            let _ = fields.append(name, value.as_bytes());
        }
        let response = OutgoingResponse::new(fields);
        response
            .set_status_code(status)
            .expect("the status is valid");
        let body = response.body().expect("the body is taken once");
        ResponseOutparam::set(out, Ok(response));
        Self {
            writer: OutgoingBodyWriter::new(body),
        }
    }

    /// Writes and flushes all bytes; `false` when the client has gone.
    pub fn write(&mut self, bytes: &[u8]) -> bool {
        self.writer.write(bytes)
    }

    /// Ends the body.
    pub fn finish(self, trailers: Option<Trailers>) {
        self.writer.finish(trailers);
    }
}

/// An outgoing body: of a response, or of a request to elsewhere.
pub struct OutgoingBodyWriter {
    // Declared before `body`: the stream is a child of the body and has to be dropped first.
    stream: OutputStream,
    body: OutgoingBody,
}

impl OutgoingBodyWriter {
    /// The body of an outgoing request, to be written once the request is under way.
    #[must_use]
    pub fn of(request: &OutgoingRequest) -> Self {
        Self::new(request.body().expect("the body is taken once"))
    }

    fn new(body: OutgoingBody) -> Self {
        let stream = body.write().expect("the stream is taken once");
        Self { stream, body }
    }

    /// Writes and flushes all bytes; `false` when the other side has gone.
    pub fn write(&mut self, bytes: &[u8]) -> bool {
        self.stream
            .write_all(bytes)
            .and_then(|()| std::io::Write::flush(&mut self.stream))
            .is_ok()
    }

    /// Ends the body; an error here is the host's business and already known to it.
    pub fn finish(self, trailers: Option<Trailers>) {
        drop(self.stream);
        let _ = OutgoingBody::finish(self.body, trailers);
    }
}

/// An incoming body, read to its end.
pub struct RequestBody {
    stream: InputStream,
    body: IncomingBody,
    cut_short: bool,
    error: Option<ErrorCode>,
}

impl RequestBody {
    /// The body of the request that is being handled.
    #[must_use]
    pub fn of(request: &IncomingRequest) -> Self {
        Self::new(request.consume().expect("the body is taken once"))
    }

    /// The body of the answer to an outgoing request.
    #[must_use]
    pub fn of_response(response: &IncomingResponse) -> Self {
        Self::new(response.consume().expect("the body is taken once"))
    }

    fn new(body: IncomingBody) -> Self {
        let stream = body.stream().expect("the stream is taken once");
        Self {
            stream,
            body,
            cut_short: false,
            error: None,
        }
    }

    /// The next bytes, or `None` at the end, good or bad.
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        match self.stream.blocking_read(CHUNK_BYTES) {
            Ok(bytes) => Some(bytes),
            Err(StreamError::Closed) => None,
            Err(StreamError::LastOperationFailed(error)) => {
                self.cut_short = true;
                self.error = http_error_code(&error);
                None
            }
        }
    }

    /// True if the body ended in an error.
    #[must_use]
    pub fn was_cut_short(&self) -> bool {
        self.cut_short
    }

    /// Returns what the host says of the error that the body ended in.
    #[must_use]
    pub fn error(&self) -> Option<&ErrorCode> {
        self.error.as_ref()
    }

    /// The trailers that followed the body.
    #[must_use]
    pub fn trailers(self) -> Option<Trailers> {
        drop(self.stream);
        let trailers = IncomingBody::finish(self.body);
        trailers.subscribe().block();
        trailers.get()?.ok()?.ok()?
    }
}
