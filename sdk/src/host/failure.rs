//! WASI's words for what went wrong, as a person would say them.

#[cfg(not(feature = "wasip3"))]
use wasip2::http::types::ErrorCode;
#[cfg(feature = "wasip3")]
use wasip3::http::types::ErrorCode;

use crate::client::Error;

/// An error in words, such as `connection refused`.
pub(super) fn words(code: &ErrorCode) -> String {
    if let ErrorCode::InternalError(Some(text)) = code {
        return text.clone();
    }
    // The bindings know the name alone, as they have it in code: `ErrorCode::ConnectionRefused`.
    let name = format!("{code:?}");
    let name = name.rsplit("ErrorCode::").next().unwrap_or_default();
    let mut words = String::new();
    for letter in name.chars().take_while(char::is_ascii_alphanumeric) {
        if letter.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

/// The error of a call outward.
pub(super) fn failure(code: ErrorCode) -> Error {
    match code {
        ErrorCode::HttpRequestDenied | ErrorCode::DestinationIpProhibited => Error::Denied,
        ErrorCode::DnsTimeout
        | ErrorCode::ConnectionTimeout
        | ErrorCode::ConnectionReadTimeout
        | ErrorCode::ConnectionWriteTimeout
        | ErrorCode::HttpResponseTimeout => Error::Timeout,
        ErrorCode::DnsError(_)
        | ErrorCode::DestinationNotFound
        | ErrorCode::DestinationUnavailable
        | ErrorCode::DestinationIpUnroutable
        | ErrorCode::ConnectionRefused
        | ErrorCode::ConnectionLimitReached
        | ErrorCode::TlsProtocolError
        | ErrorCode::TlsCertificateError
        | ErrorCode::TlsAlertReceived(_) => Error::Connect(words(&code)),
        ErrorCode::HttpRequestMethodInvalid | ErrorCode::HttpRequestUriInvalid | ErrorCode::HttpRequestUriTooLong => {
            Error::InvalidRequest(words(&code))
        }
        code => Error::Other(words(&code)),
    }
}
