//! The target of a load: a plain-HTTP address on this machine, and nowhere else.

use std::net::{SocketAddr, ToSocketAddrs};

use http::Uri;

/// A checked target: every address it stands for is loopback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The address of connections.
    pub address: SocketAddr,
    /// The value of the `host` header and of `:authority`.
    pub authority: String,
    /// Path and query, at least `/`.
    pub path: String,
}

/// A reason why a URL is not taken.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TargetError {
    /// It cannot be read as a URL.
    #[error("`{0}` is not a URL; write it as http://127.0.0.1:3000/path")]
    NotAUrl(String),
    /// Its scheme is not `http`.
    #[error("`{0}`: only plain http is supported; start the server without TLS and use http://")]
    NotHttp(String),
    /// It is another machine.
    #[error(
        "`{host}` is {address}, which is not a loopback address: load is sent to this machine only; \
         run wasmgate-loadtest beside the server and use http://127.0.0.1:PORT/"
    )]
    NotLoopback {
        /// The URL's host.
        host: String,
        /// Its address.
        address: SocketAddr,
    },
    /// Its host has no address.
    #[error("`{0}` does not resolve; use http://127.0.0.1:PORT/")]
    Unresolved(String),
}

impl Target {
    /// Parses and checks a URL. A name is resolved once, here, and every
    /// address behind it must be loopback.
    ///
    /// # Errors
    /// See [`TargetError`]; nothing is sent before a target is accepted.
    pub fn parse(url: &str) -> Result<Self, TargetError> {
        let not_a_url = || TargetError::NotAUrl(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| not_a_url())?;
        let scheme = uri.scheme_str().ok_or_else(not_a_url)?;
        if scheme != "http" {
            return Err(TargetError::NotHttp(url.to_owned()));
        }
        let authority = uri.authority().ok_or_else(not_a_url)?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            address: resolve(authority.host(), authority.port_u16().unwrap_or(80))?,
            authority: authority.as_str().to_owned(),
            path: path.to_owned(),
        })
    }

    /// The URL's path, or `own` when it has none.
    pub fn path_or(&self, own: &str) -> String {
        match self.path.as_str() {
            "/" => own.to_owned(),
            given => given.to_owned(),
        }
    }
}

impl From<SocketAddr> for Target {
    /// For peers started by this tool, which listen on loopback by construction.
    fn from(address: SocketAddr) -> Self {
        Self {
            address,
            authority: address.to_string(),
            path: "/".to_owned(),
        }
    }
}

fn resolve(host: &str, port: u16) -> Result<SocketAddr, TargetError> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let addresses: Vec<SocketAddr> = (bare, port)
        .to_socket_addrs()
        .map_err(|_| TargetError::Unresolved(host.to_owned()))?
        .collect();
    if let Some(address) = addresses.iter().find(|a| !a.ip().is_loopback()) {
        return Err(TargetError::NotLoopback {
            host: host.to_owned(),
            address: *address,
        });
    }
    // IPv4 first: servers here listen on 127.0.0.1 by default.
    let first = addresses.iter().find(|a| a.is_ipv4());
    first
        .or(addresses.first())
        .copied()
        .ok_or_else(|| TargetError::Unresolved(host.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loopback_url_keeps_its_path_and_query() {
        let target = Target::parse("http://127.0.0.1:3000/hello?x=1").unwrap();
        assert_eq!(target.address, "127.0.0.1:3000".parse().unwrap());
        assert_eq!(target.path, "/hello?x=1");
        assert_eq!(target.authority, "127.0.0.1:3000");
    }

    #[test]
    fn ipv6_loopback_is_this_machine_too() {
        let target = Target::parse("http://[::1]:3000").unwrap();
        assert_eq!(target.path, "/");
        assert!(target.address.is_ipv6());
    }

    #[test]
    fn anything_that_is_not_this_machine_is_refused() {
        for url in [
            "http://192.0.2.1/",
            "http://0.0.0.0:3000/",
            "http://[2001:db8::1]/",
        ] {
            assert!(
                matches!(Target::parse(url), Err(TargetError::NotLoopback { .. })),
                "{url}"
            );
        }
    }

    #[test]
    fn tls_and_bare_hosts_are_refused() {
        assert!(matches!(
            Target::parse("https://127.0.0.1/"),
            Err(TargetError::NotHttp(_))
        ));
        assert!(matches!(
            Target::parse("127.0.0.1:3000"),
            Err(TargetError::NotAUrl(_))
        ));
    }
}
