//! The service behind a connection: the packages' routes, or one of the gateway's own listeners.

use std::{convert::Infallible, future::Future, net::SocketAddr};

use axum::{Router, extract::ConnectInfo};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower::ServiceExt as _;

use super::upload::Upload;
use crate::{
    error::Failure,
    gateway::{ConnectionInfo, Current, ResponseBody},
};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Answers requests.
pub(super) trait Service: Clone + Send + Sync + 'static {
    /// The body of a response.
    type Body: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static;

    /// Answers a request.
    fn answer(&self, request: Request<Upload>) -> impl Future<Output = Response<Self::Body>> + Send;

    /// Makes a response body of a problem document.
    fn document(body: Bytes) -> Self::Body;

    /// Counts a request that was refused before it reached the service.
    fn refused(&self, failure: &Failure) {
        self.refused_by(failure.reason());
    }

    /// The same, by its reason.
    fn refused_by(&self, reason: &'static str);

    /// Counts connections and streams that were cut because of their client.
    fn cut(&self, reason: &'static str, count: u64);
}

/// The packages' routes.
#[derive(Clone)]
pub(super) struct Routes {
    /// Loaded by each request: a connection may outlive a configuration.
    pub(super) gateway: Current,
    pub(super) info: ConnectionInfo,
}

impl Service for Routes {
    type Body = ResponseBody;

    async fn answer(&self, request: Request<Upload>) -> Response<ResponseBody> {
        let gateway = self.gateway.load();
        gateway.handle(request, &self.info).await
    }

    fn document(body: Bytes) -> ResponseBody {
        ResponseBody::Right(body.into())
    }

    fn refused_by(&self, reason: &'static str) {
        self.gateway.load().refused(reason);
    }

    fn cut(&self, reason: &'static str, count: u64) {
        self.gateway.load().cut(reason, count);
    }
}

/// One of the gateway's own listeners.
#[derive(Clone)]
pub(super) struct RouterService {
    pub(super) router: Router,
    pub(super) peer: SocketAddr,
}

impl Service for RouterService {
    type Body = axum::body::Body;

    async fn answer(&self, mut request: Request<Upload>) -> Response<axum::body::Body> {
        request.extensions_mut().insert(ConnectInfo(self.peer));
        let answered: Result<_, Infallible> = self.router.clone().oneshot(request).await;
        answered.unwrap_or_else(|never| match never {})
    }

    fn document(body: Bytes) -> axum::body::Body {
        body.into()
    }

    fn refused_by(&self, _: &'static str) {}

    fn cut(&self, _: &'static str, _: u64) {}
}
