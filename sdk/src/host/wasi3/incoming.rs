//! The part of a request that is fetched only when asked for.

use wasip3::{http::types::Request as WasiRequest, wit_future};

use super::Source;
use crate::{
    HeaderMap, Request,
    host::{fields::header_map, method::method_from},
};

/// A request in the host.
pub(crate) struct Incoming {
    request: Option<WasiRequest>,
    /// Once the body is taken, the host has no request any more.
    taken: Taken,
}

#[derive(Default)]
struct Taken {
    authority: Option<String>,
    headers: HeaderMap,
}

impl Incoming {
    /// The request as handlers see it: two host calls, for what the router needs.
    pub(super) fn request(request: WasiRequest) -> Request {
        let method = method_from(request.get_method());
        // `OPTIONS *` and CONNECT have no path.
        let target = request.get_path_with_query().unwrap_or_default();
        let incoming = Incoming {
            request: Some(request),
            taken: Taken::default(),
        };
        Request::new(method, target, incoming)
    }

    pub(crate) fn authority(&self) -> Option<String> {
        match &self.request {
            Some(request) => request.get_authority(),
            None => self.taken.authority.clone(),
        }
    }

    pub(crate) fn headers(&self) -> HeaderMap {
        match &self.request {
            Some(request) => header_map(request.get_headers().copy_all()),
            None => self.taken.headers.clone(),
        }
    }

    /// The body the first time, an empty one after that.
    pub(crate) fn take_body(&mut self) -> Source {
        let taken = Taken {
            authority: self.authority(),
            headers: self.headers(),
        };
        self.taken = taken;
        let body = self.request.take().map(|request| {
            let (_, done) = wit_future::new(|| Ok(()));
            WasiRequest::consume_body(request, done)
        });
        Source::new(body)
    }
}
