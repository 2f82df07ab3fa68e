//! Metrics of outgoing requests: by result, and the time to the response's head.

use std::{future::Future, pin::Pin};

use http::Response;
use wasmtime_wasi_http::{Error, WasiBody};

use crate::account::Account;

/// Counts and times `sending`, which is pinned by the caller because it is large.
pub(super) async fn outbound(
    account: &Account,
    sending: Pin<&mut impl Future<Output = Result<Response<WasiBody>, Error>>>,
) -> Result<Response<WasiBody>, Error> {
    let timer = account.metrics().outbound();
    let answer = sending.await;
    match &answer {
        Ok(response) => timer.answered(response.status()),
        Err(error) => timer.ended(word(error)),
    }
    answer
}

/// The metric label of an error.
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
