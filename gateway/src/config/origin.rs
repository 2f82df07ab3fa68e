//! `outbound`: the origins that a guest may send requests to.

use std::fmt;

use http::uri::Scheme;
use wasmgate_common::{Code, Diagnostic};

use crate::routes::HostPattern;

/// Scheme, host and port that requests may go to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Origin {
    /// `http` or `https`.
    pub scheme: Scheme,
    /// A name, `*.suffix`, or an address.
    pub host: HostPattern,
    /// The port; 80 or 443 when none is written.
    pub port: u16,
}

impl Origin {
    /// Reads `https://api.example.com`, `https://*.example.com:8443` or `http://192.0.2.1`.
    ///
    /// # Errors
    /// When it is none of these, or has a path.
    pub fn parse(text: &str) -> Result<Self, Diagnostic> {
        let invalid = |why: &str| {
            Diagnostic::new(
                Code::InvalidValue,
                format!("the origin {text:?} {why}"),
                "write scheme, host and, if need be, port: \"https://api.example.com\", \
                 \"https://*.example.com:8443\"",
            )
        };
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| invalid("has no scheme"))?;
        let (scheme, default_port) = match scheme.to_ascii_lowercase().as_str() {
            "https" => (Scheme::HTTPS, 443),
            "http" => (Scheme::HTTP, 80),
            _ => return Err(invalid("has a scheme other than https and http")),
        };
        if rest.contains(['/', '?', '#', '@']) {
            return Err(invalid("has more than a host and a port"));
        }
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                let port = port.parse().ok().filter(|port| *port != 0);
                (
                    host,
                    port.ok_or_else(|| invalid("has a port that is not 1 to 65535"))?,
                )
            }
            _ => (rest, default_port),
        };
        let host = HostPattern::parse(host).map_err(|wrong| invalid(&format!("is wrong: {}", wrong.message)))?;
        Ok(Self { scheme, host, port })
    }

    /// Returns whether a request to this scheme, host and port may go out. The host has no port; its case does
    /// not matter.
    pub fn allows(&self, scheme: &Scheme, host: &str, port: u16) -> bool {
        self.port == port
            && self.scheme == *scheme
            && self.host.matches(
                host.strip_suffix('.')
                    .unwrap_or(host)
                    .to_ascii_lowercase()
                    .as_str(),
            )
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.scheme, self.host, self.port)
    }
}
