//! The part of a request that is fetched only when asked for.

use wasip2::http::types::IncomingRequest;

use super::Source;
use crate::{
    HeaderMap, Request,
    host::{fields::header_map, method::method_from},
};

/// A request in the host.
pub(crate) struct Incoming(IncomingRequest);

impl Incoming {
    /// The request as handlers see it: two host calls, for what the router needs.
    pub(super) fn request(request: IncomingRequest) -> Request {
        let method = method_from(request.method());
        // `OPTIONS *` and CONNECT have no path.
        let target = request.path_with_query().unwrap_or_default();
        Request::new(method, target, Incoming(request))
    }

    pub(crate) fn authority(&self) -> Option<String> {
        self.0.authority()
    }

    pub(crate) fn headers(&self) -> HeaderMap {
        header_map(self.0.headers().entries())
    }

    /// The body the first time, an empty one after that.
    pub(crate) fn take_body(&mut self) -> Source {
        Source::new(self.0.consume().ok())
    }
}
