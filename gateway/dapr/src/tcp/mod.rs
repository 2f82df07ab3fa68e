//! The API for other processes, over TCP: who may call, and as which app.

mod grpc;
mod pages;

use axum::body::Body;
use http::{HeaderValue, Request, Response, StatusCode, header::CONTENT_TYPE};
use subtle::ConstantTimeEq as _;

pub(crate) use grpc::check as check_protocol;

use crate::{protocol::API_TOKEN, settings::Settings};

/// The paths that answer anybody, since probes carry no token.
const OPEN: [&str; 2] = ["/v1.0/healthz", "/v1.0/healthz/outbound"];

/// Refuses a request without the token, or where there is none what a page in a browser may have sent.
pub(crate) fn check(settings: &Settings, request: &Request<Body>) -> Result<(), Box<Response<Body>>> {
    if OPEN.contains(&request.uri().path().trim_end_matches('/')) {
        return Ok(());
    }
    let Some(token) = &settings.api_token else {
        return pages::check(settings, request).map_err(|reason| refusal(StatusCode::FORBIDDEN, reason));
    };
    let given = request.headers().get(API_TOKEN).map(HeaderValue::as_bytes);
    if given.is_some_and(|given| given.ct_eq(token.as_bytes()).into()) {
        return Ok(());
    }
    Err(refusal(StatusCode::UNAUTHORIZED, "invalid api token"))
}

fn refusal(status: StatusCode, reason: &'static str) -> Box<Response<Body>> {
    let mut refusal = Response::new(Body::from(reason));
    *refusal.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain");
    refusal.headers_mut().insert(CONTENT_TYPE, kind);
    Box::new(refusal)
}
