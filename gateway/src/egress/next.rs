//! The handler behind a middleware, as the middleware calls it: another package, in an instance of its own.
//!
//! A middleware that rewrites a body often copies the fields of the original, with its length. So a `content-length`
//! that was received, with a body that was not, is dropped; one that the guest set itself is enforced.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, header,
    uri::{Authority, PathAndQuery, Scheme},
};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use wasmtime_wasi_http::{Error, FieldMap, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks, p3};

use super::{CALL_BYTES, Life, SendIo, Sending, is_forbidden, nothing_left};
use crate::{
    account::{Account, Kept},
    request_headers::RequestId,
    unsent::CHUNK,
};

/// How many lengths of responses are remembered; a middleware with more calls forwards one of the last.
const ANSWERS: usize = 8;

/// The future of a response; failures are responses too.
pub(crate) type Handling = Pin<Box<dyn Future<Output = Response<WasiBody>> + Send>>;

/// A handler of the requests that a middleware passes on.
pub(crate) trait NextHandler: Send + Sync {
    /// Handles one. Dropping the future, or the response's body, stops the handler.
    fn handle(&self, request: Request<WasiBody>) -> Handling;
}

/// One middleware instance's connection to the handler behind it.
pub(crate) struct NextDoor {
    handler: Arc<dyn NextHandler>,
    /// The authority of the instance's own request.
    authority: Option<Authority>,
    /// The counter of buffered bytes for the instance.
    kept: Kept,
    chunk: usize,
    /// The instance's lifetime.
    life: Life,
    /// The middleware, and its request id.
    whose: (Arc<Account>, RequestId),
    lengths: Arc<Lengths>,
    /// The `content-length` of the next request.
    said: Option<HeaderValue>,
}

/// The lengths of bodies that a middleware received.
#[derive(Debug, Default)]
struct Lengths {
    of_request: Option<HeaderValue>,
    of_answers: Mutex<VecDeque<HeaderValue>>,
}

/// The own request of a middleware instance.
pub(crate) struct Own {
    /// Its authority.
    pub(crate) authority: Option<Authority>,
    /// Its `content-length`, if any.
    pub(crate) length: Option<HeaderValue>,
    /// Its package.
    pub(crate) account: Arc<Account>,
    /// Its id.
    pub(crate) id: RequestId,
}

impl NextDoor {
    /// For an instance with this lifetime and own request.
    pub(crate) fn new(handler: Arc<dyn NextHandler>, own: Own, kept: Kept, life: Life) -> Self {
        let Own {
            authority,
            length,
            account,
            id,
        } = own;
        let lengths = Lengths {
            of_request: length,
            of_answers: Mutex::default(),
        };
        Self {
            handler,
            authority,
            kept,
            chunk: CHUNK,
            life,
            whose: (account, id),
            lengths: Arc::new(lengths),
            said: None,
        }
    }

    /// Takes the `content-length` off a request, before wasmtime enforces it.
    pub(crate) fn take_length(&mut self, request: &mut p3::Request) {
        self.said = None;
        if request.headers.get(header::CONTENT_LENGTH).is_none() {
            return;
        }
        let mut headers = HeaderMap::from(std::mem::take(&mut request.headers));
        self.said = headers.remove(header::CONTENT_LENGTH);
        request.headers = FieldMap::new_immutable(self, headers);
    }

    /// Returns whether the `content-length` of the guest's response is that of a response from behind.
    pub(crate) fn is_anothers(&self, length: &HeaderValue, body: &WasiBody) -> bool {
        self.lengths.of_answers.lock().contains(length) && !self.life.passes(body)
    }

    /// Restores the `content-length` of a request if it describes its own body, and enforces it.
    fn measure(&mut self, request: Request<WasiBody>) -> (Request<WasiBody>, Option<Arc<AtomicBool>>) {
        let Some(said) = self.said.take() else {
            return (request, None);
        };
        let is_anothers = self.lengths.of_request.as_ref() == Some(&said) && !self.life.passes(request.body());
        let length = said.to_str().ok().and_then(|said| said.parse().ok());
        let (Some(length), false) = (length, is_anothers) else {
            return (request, None);
        };
        let is_wrong = Arc::<AtomicBool>::default();
        let (mut parts, body) = request.into_parts();
        parts.headers.insert(header::CONTENT_LENGTH, said);
        let body = Measured {
            body,
            length,
            sent: 0,
            is_wrong: Arc::clone(&is_wrong),
            whose: self.whose.clone(),
        };
        (
            Request::from_parts(parts, body.boxed_unsync()),
            Some(is_wrong),
        )
    }

    /// Fills in a request's destination as far as the guest did not: a handler does not need it, but a host does.
    pub(crate) fn complete(&self, request: &mut p3::Request) {
        request.scheme.get_or_insert(Scheme::HTTP);
        if request.authority.is_none() {
            request.authority.clone_from(&self.authority);
        }
        request
            .path_with_query
            .get_or_insert_with(|| PathAndQuery::from_static("/"));
    }

    /// Limits how much the guest may write at once of bodies that it begins from now on.
    pub(crate) fn bound_writes(&mut self, bytes: usize) {
        self.chunk = bytes;
    }
}

impl WasiHttpHooks for NextDoor {
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        is_forbidden(name)
    }

    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(is_forbidden)
    }

    fn p3_outgoing_body_chunk_size(&mut self) -> usize {
        self.chunk
    }

    fn send_request(&mut self, request: Request<WasiBody>, _: Option<RequestOptions>, _: SendIo) -> Sending {
        // The call counts as the instance's memory until there is a response, since it has no resource.
        let charge = self.kept.charge(CALL_BYTES);
        let (life, lengths) = (self.life.clone(), Arc::clone(&self.lengths));
        let (request, is_wrong) = self.measure(request);
        let handling = self.handler.handle(request.map(|body| life.written(body)));
        Box::new(async move {
            let _until_answered = charge.map_err(|error| Error::InternalError(Some(error.to_string())))?;
            let response = handling.await;
            if is_wrong.is_some_and(|is_wrong| is_wrong.load(Ordering::Relaxed)) {
                return Err(Error::HttpRequestBodySize(None));
            }
            lengths.note(response.headers().get(header::CONTENT_LENGTH));
            Ok((
                response.map(|body| life.passing(body).boxed_unsync()),
                nothing_left(),
            ))
        })
    }
}

impl Lengths {
    fn note(&self, length: Option<&HeaderValue>) {
        let Some(length) = length else { return };
        let mut of_answers = self.of_answers.lock();
        if of_answers.len() >= ANSWERS {
            of_answers.pop_front();
        }
        of_answers.push_back(length.clone());
    }
}

/// A body with an enforced length.
struct Measured {
    body: WasiBody,
    length: u64,
    sent: u64,
    is_wrong: Arc<AtomicBool>,
    /// The middleware, and its request id.
    whose: (Arc<Account>, RequestId),
}

impl Measured {
    fn wrong(&self) -> Error {
        if !self.is_wrong.swap(true, Ordering::Relaxed) {
            let ((account, id), length, sent) = (&self.whose, self.length, self.sent);
            if account.may_log() {
                tracing::warn!(package = %account.name(), request_id = id.as_str(), length, sent,
                    "the middleware's request to `next` is not as long as its content-length says");
            }
        }
        Error::HttpRequestBodySize(Some(self.sent))
    }
}

impl Body for Measured {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let bytes = |frame: &Frame<Bytes>| frame.data_ref().map_or(0, Bytes::len);
        match &frame {
            Some(Ok(frame)) => self.sent = self.sent.saturating_add(bytes(frame) as u64),
            Some(Err(_)) => return Poll::Ready(frame),
            None if self.sent < self.length => return Poll::Ready(Some(Err(self.wrong()))),
            None => {}
        }
        if self.sent > self.length {
            return Poll::Ready(Some(Err(self.wrong())));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.sent == self.length && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length.saturating_sub(self.sent))
    }
}
