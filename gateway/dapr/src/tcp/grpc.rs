//! Refuses calls of Dapr's gRPC API, which is not supported, in a form that gRPC clients show.

use axum::body::Body;
use http::{HeaderName, HeaderValue, Request, Response, header::CONTENT_TYPE};

/// The services of Dapr's gRPC API begin so (dapr/proto in Dapr's repository).
const SERVICES: &str = "/dapr.proto.";

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// `UNIMPLEMENTED`, among gRPC's status codes.
const UNIMPLEMENTED: HeaderValue = HeaderValue::from_static("12");

const WHY: HeaderValue = HeaderValue::from_static(
    "this is Dapr's HTTP API, and gRPC is not served: use an SDK that calls over HTTP, or plain HTTP",
);

/// Refuses a call of Dapr's gRPC API. To gRPC, an answer of trailers alone is one whose head has the status (gRPC over
/// HTTP2, "Responses").
pub(crate) fn check(request: &Request<Body>) -> Result<(), Box<Response<Body>>> {
    if !request.uri().path().starts_with(SERVICES) {
        return Ok(());
    }
    let mut refusal = Response::new(Body::empty());
    let headers = refusal.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(STATUS, UNIMPLEMENTED);
    headers.insert(MESSAGE, WHY);
    Err(Box::new(refusal))
}
