//! Natively, for tests: bodies are lists of pieces, and the world outside is a closure.

use std::{
    cell::RefCell,
    collections::VecDeque,
    future,
    hash::{BuildHasher, RandomState},
    rc::Rc,
    time::Duration,
};

use crate::{
    Body, BodyError, HeaderMap,
    client::{Call, Error, Response},
};

/// The rest of a request.
#[derive(Default)]
pub(crate) struct Incoming {
    pub(crate) authority: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Source,
}

impl Incoming {
    pub(crate) fn authority(&self) -> Option<String> {
        self.authority.clone()
    }

    pub(crate) fn headers(&self) -> HeaderMap {
        self.headers.clone()
    }

    /// The body the first time, an empty one after that.
    pub(crate) fn take_body(&mut self) -> Source {
        std::mem::take(&mut self.body)
    }
}

/// A body that arrives.
#[derive(Default)]
pub(crate) struct Source {
    pub(crate) chunks: VecDeque<Vec<u8>>,
    pub(crate) trailers: HeaderMap,
}

impl Source {
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, BodyError> {
        let full = |chunk: &Vec<u8>| !chunk.is_empty();
        Ok(std::iter::from_fn(|| self.chunks.pop_front()).find(full))
    }

    pub(crate) async fn trailers(self) -> Result<HeaderMap, BodyError> {
        Ok(self.trailers)
    }
}

/// A body that is sent.
#[derive(Clone, Default)]
pub(crate) struct Sink(pub(crate) Rc<RefCell<VecDeque<Vec<u8>>>>);

impl Sink {
    pub(crate) async fn write_all(&mut self, bytes: &[u8]) -> Result<(), BodyError> {
        self.0.borrow_mut().push_back(bytes.to_vec());
        Ok(())
    }

    pub(crate) async fn flush(&mut self) -> Result<(), BodyError> {
        Ok(())
    }
}

/// Without tests nothing answers outside of a host.
#[cfg(not(feature = "testing"))]
pub(crate) async fn send(_call: Call) -> Result<Response, Error> {
    Err(Error::Denied)
}

/// Asks the closure of the running test. A body is written whole before the answer is asked for.
#[cfg(feature = "testing")]
pub(crate) async fn send(call: Call) -> Result<Response, Error> {
    use crate::{Request, testing};

    let (chunks, trailers) = testing::collect(call.payload)
        .await
        .map_err(|error| Error::Other(format!("the request's body: {error}")))?;
    let incoming = Incoming {
        authority: Some(call.url.authority),
        headers: call.headers,
        body: Source { chunks, trailers },
    };
    let response = testing::answer(Request::new(call.method, call.url.target, incoming))?;
    let (status, headers, payload) = response.into_parts(false);
    let (chunks, trailers) = testing::collect(payload)
        .await
        .map_err(|error| Error::Other(format!("the answer's body: {error}")))?;
    Ok(Response::new(
        status,
        headers.map().clone(),
        Body::new(Source { chunks, trailers }),
    ))
}

/// Lets everything else go first, and takes no time.
pub(crate) async fn sleep(_duration: Duration) {
    let mut slept = false;
    future::poll_fn(|context| {
        if std::mem::replace(&mut slept, true) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

/// Any number.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(())
}

/// Nothing: what a test does may not depend on the machine it runs on.
pub(crate) fn environment(_name: &str) -> Option<String> {
    None
}
