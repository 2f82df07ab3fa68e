//! One request of a connection: what is refused before it is served, and what the response says about the connection.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Version,
    header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE},
};
use http_body::Body;
use hyper::{body::Incoming, service::service_fn, upgrade::OnUpgrade};

use super::{
    answer::Answer,
    date,
    drain::Drain,
    exchange::Exchange,
    limits::Limits,
    service::Service,
    upload::{self, Upload},
};
use crate::{
    error::Failure,
    request_headers::{REQUEST_ID, RequestId},
};

const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// The state that the requests of one connection share.
pub(super) struct Handler<S> {
    pub(super) service: S,
    pub(super) limits: Limits,
    pub(super) drain: Drain,
    pub(super) exchange: Arc<Exchange>,
}

/// A connection's service, as hyper's trait.
pub(super) trait Answering<S: Service>:
    hyper::service::Service<Request<Incoming>, Response = Answered<S>, Error = Infallible, Future: Send> + Send + Unpin
{
}

impl<S: Service, T> Answering<S> for T where
    T: hyper::service::Service<Request<Incoming>, Response = Answered<S>, Error = Infallible, Future: Send>
        + Send
        + Unpin
{
}

/// An outgoing response.
type Answered<S> = Response<Answer<<S as Service>::Body>>;

impl<S: Service> Handler<S> {
    /// The service for hyper.
    pub(super) fn into_service(self) -> impl Answering<S> {
        let handler = Arc::new(self);
        service_fn(move |request: Request<Incoming>| {
            let handler = Arc::clone(&handler);
            handler
                .exchange
                .begin(request.version() <= Version::HTTP_10);
            async move { Ok(handler.handle(request).await) }
        })
    }

    async fn handle(&self, request: Request<Incoming>) -> Answered<S> {
        let is_http2 = request.version() == Version::HTTP_2;
        let is_http10 = request.version() <= Version::HTTP_10;
        let response = match self.refusal(&request, is_http2) {
            Some(failure) => {
                self.service.refused(&failure);
                let id = RequestId::from_headers(request.headers());
                let is_head = request.method() == Method::HEAD;
                // The body is handled like any other abandoned one.
                drop(Upload::wrap(request, &self.exchange));
                document(&failure, is_head, &id).map(S::document)
            }
            None => {
                let mut request = Upload::wrap(request, &self.exchange);
                if is_http2 {
                    // The bytes buffered for all its streams; HTTP/1 has one at a time.
                    let waiting = Arc::clone(&self.exchange.unsent);
                    request.extensions_mut().insert(waiting);
                }
                self.service.answer(request).await
            }
        };
        if !is_http2 {
            let is_whole = response.body().size_hint().exact().is_some();
            upload::settle(&self.exchange, is_whole).await;
        }
        let mut response = response.map(|body| Answer::new(body, Arc::clone(&self.exchange)));
        date::fit(response.headers_mut());
        let is_last =
            self.drain.is_stopping() || self.exchange.is_unread() || is_http10 && is_close_delimited(&response);
        if !is_http2 && is_last {
            response.headers_mut().insert(CONNECTION, CLOSE);
            if is_http10 {
                // hyper would add `keep-alive` when it converts a 1.1 response to 1.0.
                *response.version_mut() = Version::HTTP_10;
            }
        }
        response
    }

    fn refusal<B: Body>(&self, request: &Request<B>, is_http2: bool) -> Option<Failure> {
        if is_http2 {
            if request.method() == Method::CONNECT {
                return Some(Failure::NotImplemented);
            }
            return (!self.limits.admit(request)).then_some(Failure::RequestHeadTooLarge);
        }
        if request.method() == Method::CONNECT {
            // What follows is meant for the tunnel, and is not a request.
            self.exchange.leave_unread();
            return Some(Failure::NotImplemented);
        }
        if has_foreign_coding(request) {
            self.exchange.leave_unread();
            return Some(Failure::BadRequest);
        }
        // hyper marks the requests that have an `Upgrade`; looking for the mark costs nothing where there is none.
        let is_marked = request.extensions().get::<OnUpgrade>().is_some();
        (is_marked && wants_websocket(request)).then_some(Failure::NotImplemented)
    }
}

/// Returns whether a response to an HTTP/1.0 client can only end with the connection, although hyper answers
/// `keep-alive`.
fn is_close_delimited<B: Body>(response: &Response<B>) -> bool {
    response.body().size_hint().exact().is_none() && !response.headers().contains_key(CONTENT_LENGTH)
}

/// A problem document for a request that was refused here.
pub(super) fn document(failure: &Failure, is_head: bool, id: &RequestId) -> Response<Bytes> {
    let mut response = failure.answer(is_head, id.as_str());
    response
        .headers_mut()
        .insert(REQUEST_ID, id.header().clone());
    response
}

/// Returns whether a body has transfer codings other than one `chunked` (RFC 9112, 6.1). hyper checks only the last
/// coding: a guest would get the other codings' bytes as the body, and a proxy that parses the list differently would
/// find another end of it.
fn has_foreign_coding<B: Body>(request: &Request<B>) -> bool {
    // Every other body has a length, and most requests have none.
    if request.body().size_hint().exact().is_some() {
        return false;
    }
    let mut codings = request.headers().get_all(TRANSFER_ENCODING).iter();
    codings
        .next()
        .is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
        || codings.next().is_some()
}

/// Returns whether a request asks for a WebSocket (RFC 6455, 4.1), which cannot be answered in HTTP. Other upgrades are
/// offers, which a server may ignore (RFC 9110, 7.8).
fn wants_websocket<B>(request: &Request<B>) -> bool {
    request.method() == Method::GET
        && has_token(request.headers(), &CONNECTION, "upgrade")
        && has_token(request.headers(), &UPGRADE, "websocket")
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|found| found.trim().eq_ignore_ascii_case(token))
}
