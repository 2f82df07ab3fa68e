//! Every way in which a request can fail before or inside a guest, and what the client is told.
//!
//! A client gets a problem document (RFC 9457) with the reason and the request id, never a guest's backtrace, a path or
//! an internal host name: those go to the log under the same request id.

use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use wasmgate_common::Problem;

use crate::content;

/// Tells the gateway's own errors from the guest's.
pub(crate) const ERROR_HEADER: HeaderName = HeaderName::from_static("x-wasmgate-error");

/// The time that a client is asked to wait before it tries again, in seconds: an overload passes as soon as one
/// instance ends.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// The reason for which the gateway, rather than the guest, answered a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The request cannot be understood, for example it names no host.
    BadRequest,
    /// The request's target is longer than HTTP libraries take.
    TargetTooLong,
    /// The request's head has more bytes than `request_head` or more fields than `request_headers`.
    RequestHeadTooLarge,
    /// The request asks for another protocol that is not there yet.
    NotImplemented,
    /// No route matches host and path.
    NoRoute,
    /// Routes match host and path, but none the method; carries the value of `Allow`.
    MethodNotAllowed(HeaderValue),
    /// The client did not deliver its request in time.
    RequestTimeout,
    /// The request's body is longer than the package's `request_body`.
    BodyTooLarge,
    /// The guest trapped.
    GuestTrap,
    /// The guest ended without a response, set an error in place of one, or exited with a failure.
    GuestNoResponse,
    /// The guest's response cannot be sent: its status is none, its head is too large, or its body is not what its head
    /// says.
    GuestBadResponse,
    /// The guest was refused memory beyond the package's `memory` and died of it, or made the host hold more than that.
    MemoryLimit,
    /// The guest did not answer within the package's `timeout`.
    Deadline,
    /// The guest did not begin to answer within the package's `first_byte`.
    FirstByteTimeout,
    /// The next part of the guest's body did not come within the package's `idle`.
    IdleTimeout,
    /// The package has as many instances as its `concurrency` allows, or the gateway as many as it can hold or as much
    /// memory.
    Overloaded,
    /// As many requests as `queue` allows wait for an instance of the package.
    QueueFull,
    /// No instance was free within the package's `queue_timeout`.
    QueueTimeout,
    /// More requests came than a `rate_limit` allows; carries the seconds to wait.
    RateLimited(u64),
    /// The package could not be loaded.
    PackageUnavailable,
    /// The package was replaced by a reload, and the request was not finished within `drain_timeout` after it.
    Replaced,
}

impl Failure {
    /// The status a client sees.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::RequestHeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::NotImplemented => StatusCode::NOT_IMPLEMENTED,
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::GuestTrap | Self::GuestNoResponse | Self::GuestBadResponse | Self::MemoryLimit => {
                StatusCode::BAD_GATEWAY
            }
            Self::Deadline | Self::FirstByteTimeout | Self::IdleTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::RateLimited(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Overloaded | Self::QueueFull | Self::QueueTimeout | Self::PackageUnavailable | Self::Replaced => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    /// The reason as it stands in `x-wasmgate-error`, in metrics and in the log.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::BadRequest => "bad-request",
            Self::TargetTooLong => "target-too-long",
            Self::RequestHeadTooLarge => "request-head-too-large",
            Self::NotImplemented => "not-implemented",
            Self::NoRoute => "no-route",
            Self::MethodNotAllowed(_) => "method-not-allowed",
            Self::RequestTimeout => "request-timeout",
            Self::BodyTooLarge => "body-too-large",
            Self::GuestTrap => "guest-trap",
            Self::GuestNoResponse => "guest-no-response",
            Self::GuestBadResponse => "guest-bad-response",
            Self::MemoryLimit => "memory-limit",
            Self::Deadline => "deadline",
            Self::FirstByteTimeout => "first-byte-timeout",
            Self::IdleTimeout => "idle-timeout",
            Self::Overloaded => "overloaded",
            Self::QueueFull => "queue-full",
            Self::QueueTimeout => "queue-timeout",
            Self::RateLimited(_) => "rate-limited",
            Self::PackageUnavailable => "package-unavailable",
            Self::Replaced => "package-replaced",
        }
    }

    /// Returns whether it passes by itself, so that the same request may be answered soon.
    pub(crate) fn passes(&self) -> bool {
        self.status() == StatusCode::SERVICE_UNAVAILABLE
    }

    /// The whole response to a request, which is without the document when the request was HEAD.
    pub fn answer(&self, is_head: bool, request_id: &str) -> http::Response<bytes::Bytes> {
        let mut response = self.document(request_id);
        if is_head {
            let length = response.body().len() as u64;
            content::fit(response.headers_mut(), self.status(), Some(length));
            response.body_mut().clear();
        }
        response
    }

    /// The problem document as a whole response.
    fn document(&self, request_id: &str) -> http::Response<bytes::Bytes> {
        let kind = format!("urn:wasmgate:error:{}", self.reason());
        let members = Members { request_id };
        let problem = Problem::with(&kind, self.status(), self.title(), members);
        let mut response: http::Response<bytes::Bytes> = problem.into_response();
        let headers = response.headers_mut();
        headers.insert(ERROR_HEADER, HeaderValue::from_static(self.reason()));
        match self {
            Self::MethodNotAllowed(allow) => {
                headers.insert(header::ALLOW, allow.clone());
            }
            _ if self.passes() => {
                headers.insert(header::RETRY_AFTER, RETRY_AFTER_SECONDS);
            }
            Self::RateLimited(seconds) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
            }
            _ => {}
        }
        response
    }

    fn title(&self) -> &'static str {
        match self {
            Self::BadRequest => "The request cannot be understood.",
            Self::TargetTooLong => "The request's target is too long.",
            Self::RequestHeadTooLarge => "The request's head is too large.",
            Self::NotImplemented => "The protocol that the request asks for is not served.",
            Self::NoRoute => "No route matches this host and path.",
            Self::MethodNotAllowed(_) => "The routes of this path do not take this method.",
            Self::RequestTimeout => "The request did not arrive in time.",
            Self::BodyTooLarge => "The request's body is larger than this package takes.",
            Self::GuestTrap => "The package failed while it handled the request.",
            Self::GuestNoResponse => "The package ended without a response.",
            Self::GuestBadResponse => "The package's response cannot be sent.",
            Self::MemoryLimit => "The package needed more memory than it is given.",
            Self::Deadline => "The package did not answer in time.",
            Self::FirstByteTimeout => "The package did not begin to answer in time.",
            Self::IdleTimeout => "The package's answer stood still for too long.",
            Self::Overloaded => "Too many requests are in flight; try again.",
            Self::QueueFull => "Too many requests wait for this package; try again.",
            Self::QueueTimeout => "The package had no time for the request; try again.",
            Self::RateLimited(_) => "Too many requests were sent; try again later.",
            Self::PackageUnavailable => "The package is not available; try again.",
            Self::Replaced => "The package was replaced while it handled the request.",
        }
    }
}

/// The reason for which a request without TLS is refused where TLS is spoken.
pub(crate) const TLS_REQUIRED: &str = "tls-required";

/// The answer to a request without TLS where TLS is spoken: whoever sees it looks at a browser or a terminal.
pub(crate) fn tls_required() -> http::Response<bytes::Bytes> {
    let text = "This port speaks HTTPS, and the request came without TLS: ask again with https://\n";
    let mut response = http::Response::new(bytes::Bytes::from_static(text.as_bytes()));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(ERROR_HEADER, HeaderValue::from_static(TLS_REQUIRED));
    response
}

/// The members of a document beside those that every problem has.
#[derive(Serialize)]
struct Members<'a> {
    request_id: &'a str,
}
