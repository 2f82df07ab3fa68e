//! Failures of outgoing requests, as error codes of WASI and as messages for the log.

use std::{error::Error as StdError, fmt::Write as _, io};

use rustls::CertificateError;
use wasmtime_wasi_http::Error;

/// The server sends interim responses (1xx) and no final one.
#[derive(Debug, thiserror::Error)]
#[error("the upstream sent too many interim responses")]
pub(super) struct TooManyInterim;

/// A failed request, or an aborted body.
///
/// The codes of WASI are the proxy error types of RFC 9209, and mean what that says of them.
#[derive(Debug)]
pub(super) struct Failed {
    /// The error that the guest sees.
    pub(super) code: Error,
    /// Details for the log.
    pub(super) detail: String,
}

impl Failed {
    pub(super) fn new(code: Error, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
        }
    }

    /// The code found in an error's causes, or `otherwise`.
    pub(super) fn from_error(error: &(dyn StdError + 'static), otherwise: Error) -> Self {
        let (mut code, mut detail) = (None, String::new());
        let mut cause = Some(error);
        while let Some(error) = cause {
            // Deeper causes are more specific.
            code = code_of(error).or(code);
            let text = explained(error).map_or_else(|| error.to_string(), str::to_owned);
            if !detail.ends_with(&text) {
                let separator = if detail.is_empty() { "" } else { ": " };
                let _ = write!(detail, "{separator}{text}");
            }
            cause = error.source();
        }
        Self::new(code.unwrap_or(otherwise), detail)
    }

    /// Replaces the code by `HttpResponseIncomplete` if the connection ended within a response.
    pub(super) fn after_a_part(self) -> Self {
        match self.code {
            Error::ConnectionTerminated => Self::new(Error::HttpResponseIncomplete, self.detail),
            _ => self,
        }
    }
}

/// WASI's name of a code, such as `DNS-error`, for the log.
pub(super) fn name(code: &Error) -> String {
    let variant = format!("{code:?}");
    let end = variant.find(|c: char| !c.is_ascii_alphanumeric());
    let mut name = String::new();
    for letter in variant.chars().take(end.unwrap_or(usize::MAX)) {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.push(letter.to_ascii_lowercase());
    }
    // WASI capitalizes these, the first three only at the start of a name.
    for word in ["dns-", "tls-", "http-"] {
        if let Some(rest) = name.strip_prefix(word) {
            name = format!("{}{rest}", word.to_ascii_uppercase());
        }
    }
    name.replace("-ip-", "-IP-").replace("-uri-", "-URI-")
}

/// Explains a certificate error for which rustls has only an internal name.
fn explained(error: &(dyn StdError + 'static)) -> Option<&'static str> {
    let error = match error.downcast_ref::<io::Error>() {
        Some(error) => error.get_ref()?.downcast_ref::<rustls::Error>()?,
        None => error.downcast_ref::<rustls::Error>()?,
    };
    let rustls::Error::InvalidCertificate(reason) = error else {
        return None;
    };
    Some(match reason {
        CertificateError::UnknownIssuer => {
            "invalid peer certificate: no trusted authority has signed it; name the one that has in `tls.ca` of the package"
        }
        // rustls has no variant for it.
        CertificateError::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "invalid peer certificate: it is an authority's (basicConstraints CA:TRUE), and a server has to show one with CA:FALSE"
        }
        _ => return None,
    })
}

fn code_of(error: &(dyn StdError + 'static)) -> Option<Error> {
    if let Some(error) = error.downcast_ref::<io::Error>() {
        // An error of TLS or of the gateway, wrapped in an I/O error.
        let inner = error.get_ref().and_then(|inner| code_of(inner));
        return inner.or_else(|| io_code(error));
    }
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return Some(tls_code(error));
    }
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        return http_code(error);
    }
    if let Some(error) = error.downcast_ref::<h2::Error>() {
        let closed = error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
        return Some(match error.get_io() {
            Some(error) => code_of(error).unwrap_or(Error::ConnectionTerminated),
            None if closed => Error::ConnectionTerminated,
            None => Error::HttpProtocolError,
        });
    }
    error
        .is::<TooManyInterim>()
        .then_some(Error::HttpProtocolError)
}

fn io_code(error: &io::Error) -> Option<Error> {
    Some(match error.kind() {
        io::ErrorKind::ConnectionRefused => Error::ConnectionRefused,
        io::ErrorKind::TimedOut => Error::ConnectionTimeout,
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::NotConnected
        | io::ErrorKind::UnexpectedEof => Error::ConnectionTerminated,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Error::DestinationIpUnroutable,
        // No ephemeral port is left.
        io::ErrorKind::AddrNotAvailable => Error::ConnectionLimitReached,
        _ if is_out_of_descriptors(error) => Error::ConnectionLimitReached,
        _ => return None,
    })
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    let full = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE];
    error
        .raw_os_error()
        .is_some_and(|code| full.iter().any(|errno| errno.raw_os_error() == code))
}

fn tls_code(error: &rustls::Error) -> Error {
    match error {
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => Error::TlsCertificateError,
        rustls::Error::AlertReceived(alert) => Error::TlsAlertReceived {
            alert_id: Some(u8::from(*alert)),
            alert_message: Some(format!("{alert:?}")),
        },
        _ => Error::TlsProtocolError,
    }
}

fn http_code(error: &hyper::Error) -> Option<Error> {
    if error.is_parse_too_large() {
        Some(Error::HttpResponseHeaderSectionSize(None))
    } else if error.is_parse() {
        Some(Error::HttpProtocolError)
    } else if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        Some(Error::ConnectionTerminated)
    } else if error.is_timeout() {
        Some(Error::ConnectionReadTimeout)
    } else {
        None
    }
}
