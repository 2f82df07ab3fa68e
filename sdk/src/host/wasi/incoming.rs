//! The part of a request that is fetched only when asked for.

use wasip2::http::types::IncomingRequest;

use super::{Source, fields::header_map};
use crate::{HeaderMap, Method, Request};

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

fn method_from(method: wasip2::http::types::Method) -> Method {
    use wasip2::http::types::Method as Wasi;
    match method {
        Wasi::Get => Method::GET,
        Wasi::Head => Method::HEAD,
        Wasi::Post => Method::POST,
        Wasi::Put => Method::PUT,
        Wasi::Delete => Method::DELETE,
        Wasi::Connect => Method::CONNECT,
        Wasi::Options => Method::OPTIONS,
        Wasi::Trace => Method::TRACE,
        Wasi::Patch => Method::PATCH,
        // A host lets no method through that is not HTTP's.
        Wasi::Other(name) => Method::from_bytes(name.as_bytes()).unwrap_or_default(),
    }
}
