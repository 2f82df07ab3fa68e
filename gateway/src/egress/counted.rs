//! Calls of guests, counted by result and timed to the head of their answer.

use std::future::Future;

use http::{Request, Response};
use wasmtime_wasi_http::{Error, WasiBody};

use crate::{
    blocks::{Blocks, Operation},
    package::Package,
};

/// Sends a request outside by way of `sending`.
pub(super) async fn outbound(
    package: &Package,
    sending: impl Future<Output = Result<Response<WasiBody>, Error>>,
) -> Result<Response<WasiBody>, Error> {
    let timer = package.metrics().outbound();
    let answer = sending.await;
    match &answer {
        Ok(response) => timer.answered(response.status()),
        Err(error) => timer.ended(word(error)),
    }
    answer
}

/// Calls a building block.
pub(super) async fn block(package: &Package, blocks: &Blocks, request: Request<WasiBody>) -> Response<WasiBody> {
    let timer = package.metrics().block_call(Operation::of(&request));
    let response = blocks.call(&package.caller, request).await;
    if let Some(timer) = timer {
        timer.answered(response.status());
    }
    response
}

/// What went wrong, in one of a few words.
fn word(error: &Error) -> &'static str {
    match error {
        Error::HttpRequestDenied | Error::DestinationIpProhibited => "refused",
        Error::DnsTimeout | Error::DnsError { .. } | Error::DestinationNotFound => "dns",
        Error::Connect(_)
        | Error::ConnectionRefused
        | Error::DestinationUnavailable
        | Error::DestinationIpUnroutable => "connect",
        Error::Tls(_) | Error::TlsProtocolError | Error::TlsCertificateError | Error::TlsAlertReceived { .. } => "tls",
        Error::ConnectionTimeout
        | Error::ConnectionReadTimeout
        | Error::ConnectionWriteTimeout
        | Error::HttpResponseTimeout => "timeout",
        Error::ConnectionLimitReached => "limit",
        Error::Hyper(_) | Error::ConnectionTerminated | Error::HttpProtocolError | Error::HttpResponseIncomplete => {
            "broken"
        }
        _ => "other",
    }
}
