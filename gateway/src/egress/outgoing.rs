//! One outgoing request of a guest: its owner, destination and result.

use std::{fmt, sync::Arc};

use http::{
    Uri,
    uri::{Authority, PathAndQuery, Scheme},
};
use wasmtime_wasi_http::Error;

use super::failed::{self, Failed};
use crate::{account::Account, admission::Permit, request_headers::RequestId};

/// Scheme, host and port of a request, normalized.
#[derive(Debug, Clone, Eq, Hash, PartialEq)]
pub(super) struct Destination {
    pub(super) https: bool,
    /// Lower case; an IPv6 address in brackets.
    pub(super) host: String,
    pub(super) port: u16,
}

impl Destination {
    /// Parses the destination of a request. Credentials before the host are ignored.
    pub(super) fn parse(uri: &Uri) -> Option<Self> {
        let https = *uri.scheme()? == Scheme::HTTPS;
        let host = uri.host().filter(|host| !host.is_empty())?;
        let authority = uri.authority().map(Authority::as_str)?;
        // An invalid port, such as 99999, must not become the default one.
        let (_, without_user) = authority.rsplit_once('@').unwrap_or(("", authority));
        let after_host = without_user.strip_prefix(host)?;
        let port = match uri.port_u16() {
            Some(port) => port,
            None if matches!(after_host, "" | ":") => {
                if https {
                    443
                } else {
                    80
                }
            }
            None => return None,
        };
        Some(Self {
            https,
            host: host.to_ascii_lowercase(),
            port,
        })
    }

    /// The scheme.
    pub(super) fn scheme(&self) -> Scheme {
        if self.https {
            Scheme::HTTPS
        } else {
            Scheme::HTTP
        }
    }

    /// A URI at this destination, with the path and query of another URI.
    pub(super) fn uri(&self, of: &Uri) -> Result<Uri, Failed> {
        let path = of.path_and_query().map_or("/", PathAndQuery::as_str);
        let root = if path.starts_with('/') { "" } else { "/" };
        let uri = Uri::builder()
            .scheme(self.scheme())
            .authority(self.authority())
            .path_and_query(format!("{root}{path}"))
            .build();
        uri.map_err(|error| Failed::new(Error::HttpRequestUriInvalid, error.to_string()))
    }

    /// The host, and the port unless it is the scheme's default.
    pub(super) fn authority(&self) -> String {
        let default = if self.https { 443 } else { 80 };
        if self.port == default {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme(), self.authority())
    }
}

/// The state that a request and its bodies share.
pub(super) struct Outgoing {
    pub(super) account: Arc<Account>,
    pub(super) request_id: RequestId,
    pub(super) to: Destination,
    /// Held until the last body has ended.
    pub(super) _permits: [Permit; 3],
}

impl Outgoing {
    /// Logs why there was no complete response, and returns the guest's error.
    pub(super) fn failed(&self, failed: Failed) -> Error {
        let Failed { code, detail } = failed;
        if matches!(code, Error::DestinationIpProhibited) {
            self.account.metrics().refused("outbound-denied");
        }
        if self.account.may_log() {
            tracing::warn!(package = %self.account.name(), request_id = self.request_id.as_str(), origin = %self.to,
                error = failed::name(&code), detail, "an outbound request failed");
        }
        code
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_has_one_spelling() {
        let of = |uri: &str| Destination::parse(&uri.parse().unwrap()).map(|to| to.to_string());
        for (uri, shown) in [
            ("https://API.example.com:443/x", "https://api.example.com"),
            ("http://user:pw@example.com/", "http://example.com"),
            ("http://[::1]:8080/", "http://[::1]:8080"),
            ("http://example.com:/", "http://example.com"),
            ("https://example.com:80/", "https://example.com:80"),
        ] {
            assert_eq!(of(uri).as_deref(), Some(shown), "{uri}");
        }
        assert_eq!(of("http://9:99999/"), None);
        assert_eq!(of("/path"), None);
    }
}
