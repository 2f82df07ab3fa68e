//! Writing a body in pieces: an answer's, or a call's outward.

use std::{borrow::Cow, cell::RefCell, pin::Pin, rc::Rc};

use http::{HeaderName, HeaderValue};

use crate::{Body, BodyError, Error, HeaderMap, host, written};

/// A body to send: whole, or written by a producer as the other side takes it.
pub(crate) enum Payload {
    Full(Cow<'static, [u8]>),
    Stream(Producer),
}

/// Writes a body; run after the head has been sent.
pub(crate) type Producer = Box<dyn FnOnce(BodyWriter) -> Production>;

/// The writing of a body.
pub(crate) type Production = Pin<Box<dyn Future<Output = Result<(), Error>>>>;

/// The fields to send after a body, filled while it is written.
pub(crate) type Trailers = Rc<RefCell<HeaderMap>>;

impl Payload {
    pub(crate) const fn empty() -> Self {
        Payload::Full(Cow::Borrowed(&[]))
    }

    pub(crate) fn stream<F, Fut>(produce: F) -> Self
    where
        F: FnOnce(BodyWriter) -> Fut + 'static,
        Fut: Future<Output = Result<(), Error>> + 'static,
    {
        Payload::Stream(Box::new(|writer| Box::pin(produce(writer))))
    }
}

/// The writing end of a streaming body, from [`Response::stream`](crate::Response::stream).
///
/// Each write waits until the other side has room, so a slow reader holds the writer back. The
/// body ends when the producer returns `Ok`; when it fails the connection is cut, so that the other
/// side can tell, and the error goes to stderr.
///
/// ```
/// use wasmgate_sdk::{Request, Response, Router, testing};
///
/// let app = Router::new().get("/count", |_| {
///     Response::stream(|mut body| async move {
///         for number in 0..3 {
///             body.write(format!("{number}\n")).await?;
///         }
///         body.trailer("x-count", "3");
///         Ok(())
///     })
/// });
/// let reply = testing::call(&app, Request::get("/count"));
/// assert_eq!(reply.text(), "0\n1\n2\n");
/// assert_eq!(reply.trailers()["x-count"], "3");
/// ```
pub struct BodyWriter {
    sink: host::Sink,
    trailers: Trailers,
}

impl BodyWriter {
    pub(crate) fn new(sink: host::Sink, trailers: Trailers) -> Self {
        BodyWriter { sink, trailers }
    }

    /// Writes all of it, waiting for room; it may stay in a buffer until more comes.
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), BodyError> {
        self.sink.write_all(bytes.as_ref()).await
    }

    /// Sends what is in buffers on its way now.
    pub async fn flush(&mut self) -> Result<(), BodyError> {
        self.sink.flush().await
    }

    /// Copies the rest of another body, piece by piece.
    pub async fn copy(&mut self, body: &mut Body) -> Result<(), BodyError> {
        while let Some(chunk) = body.chunk().await? {
            self.write(chunk).await?;
        }
        Ok(())
    }

    /// Adds a field to send after the body (RFC 9110, section 6.5); one that HTTP cannot carry is left out, and the log
    /// says so.
    pub fn trailer(&mut self, name: impl TryInto<HeaderName>, value: impl TryInto<HeaderValue>) {
        match written::field(name, value) {
            Ok((name, value)) => {
                self.trailers.borrow_mut().append(name, value);
            }
            Err(mistake) => crate::log(&format!("a trailer is left out: {mistake}")),
        }
    }
}
