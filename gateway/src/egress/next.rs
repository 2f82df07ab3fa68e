//! The handler behind a middleware, as that calls it: another package, in an instance of its own.

use std::{future::Future, pin::Pin, sync::Arc};

use http::{
    HeaderName, Request, Response,
    uri::{Authority, PathAndQuery, Scheme},
};
use http_body_util::BodyExt as _;
use wasmtime_wasi_http::{Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks, p3};

use super::{CALL_BYTES, Life, SendIo, Sending, is_forbidden, nothing_left};
use crate::{account::Kept, unsent::CHUNK};

/// An answer on its way: each failure is one, too.
pub(crate) type Handling = Pin<Box<dyn Future<Output = Response<WasiBody>> + Send>>;

/// Whoever answers the requests that a middleware passes on.
pub(crate) trait NextHandler: Send + Sync {
    /// Answers one. Dropping what is returned, or the body that comes of it, ends whoever is at it.
    fn handle(&self, request: Request<WasiBody>) -> Handling;
}

/// The door of one instance to the handler behind it.
pub(crate) struct NextDoor {
    handler: Arc<dyn NextHandler>,
    /// The host that the instance's own request asks.
    authority: Option<Authority>,
    /// The count of what the host keeps for the instance.
    kept: Kept,
    chunk: usize,
    /// The instance's life.
    life: Life,
}

impl NextDoor {
    /// A door for the instance whose life this is, and whose own request asks this host.
    pub(crate) fn new(handler: Arc<dyn NextHandler>, authority: Option<Authority>, kept: Kept, life: Life) -> Self {
        Self {
            handler,
            authority,
            kept,
            chunk: CHUNK,
            life,
        }
    }

    /// Says of a request where it goes, as far as the guest did not: a handler needs none of it, and a host does.
    pub(crate) fn complete(&self, request: &mut p3::Request) {
        request.scheme.get_or_insert(Scheme::HTTP);
        if request.authority.is_none() {
            request.authority.clone_from(&self.authority);
        }
        request
            .path_with_query
            .get_or_insert_with(|| PathAndQuery::from_static("/"));
    }

    /// Bounds what the guest may write at once of the bodies that it begins from now on.
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
        // The call counts as the instance's memory until there is an answer: no resource stands for it.
        let charge = self.kept.charge(CALL_BYTES);
        let life = self.life.clone();
        let handling = self.handler.handle(request.map(|body| life.written(body)));
        Box::new(async move {
            let _until_answered = charge.map_err(|error| Error::InternalError(Some(error.to_string())))?;
            let response = handling.await;
            Ok((
                response.map(|body| life.passing(body).boxed_unsync()),
                nothing_left(),
            ))
        })
    }
}
