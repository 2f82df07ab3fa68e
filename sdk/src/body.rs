//! Reading a body: a request's, or an answer's to a call outward.

use std::{fmt, marker::PhantomData, rc::Rc};

use crate::{HeaderMap, host};

/// The bytes of a body that [`Request::bytes`](crate::Request::bytes) and its kin take unless told
/// otherwise: 8 MiB, the gateway's own default, so that what the gateway lets in is not refused here.
pub const DEFAULT_BODY_LIMIT: usize = 8 << 20;

/// A body that is read in pieces as they arrive; the sender waits for the reader.
///
/// It stays on its thread, natively as in a component, where there is but one: it is not [`Send`], and neither is a
/// handler that holds it.
///
/// ```
/// use wasmgate_sdk::{Error, Request, Response};
///
/// async fn count(mut request: Request) -> Result<Response, Error> {
///     let (mut body, mut bytes) = (request.take_body(), 0);
///     while let Some(chunk) = body.chunk().await? {
///         bytes += chunk.len();
///     }
///     Ok(Response::text(format!("{bytes} bytes")))
/// }
/// # use wasmgate_sdk::{Router, testing};
/// # let app = Router::new().post("/", count);
/// # assert_eq!(testing::call(&app, Request::post("/").with_body("four")).text(), "4 bytes");
/// ```
pub struct Body {
    source: host::Source,
    /// Not `Send` wherever it is compiled: in a component an upload may hang on it, which need not be.
    thread_bound: PhantomData<Rc<()>>,
}

/// A reason why a body could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// The other side has gone away.
    #[error("the other side closed the body")]
    Closed,
    /// The connection failed or the body was cut short.
    #[error("the body failed: {0}")]
    Failed(String),
    /// The body is longer than the reader's limit, in bytes.
    #[error("the body is longer than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
}

impl Body {
    pub(crate) fn new(source: host::Source) -> Self {
        Body {
            source,
            thread_bound: PhantomData,
        }
    }

    /// The next piece, never empty; `None` at the end.
    pub async fn chunk(&mut self) -> Result<Option<Vec<u8>>, BodyError> {
        self.source.next().await
    }

    /// The whole rest, unless it is longer than `limit` bytes.
    pub async fn bytes(&mut self, limit: usize) -> Result<Vec<u8>, BodyError> {
        let Some(mut whole) = self.chunk().await? else {
            return Ok(Vec::new());
        };
        loop {
            if whole.len() > limit {
                return Err(BodyError::TooLarge { limit });
            }
            match self.chunk().await? {
                Some(chunk) => whole.extend_from_slice(&chunk),
                None => return Ok(whole),
            }
        }
    }

    /// The fields sent after the body, most often none; what is unread of the body is dropped.
    pub async fn trailers(self) -> Result<HeaderMap, BodyError> {
        self.source.trailers().await
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Body")
    }
}
