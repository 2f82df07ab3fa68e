//! The target of a request: its host and path in every form that HTTP allows, and the part that the guest sees.

use http::{
    HeaderValue, Request, Uri, Version,
    header::HOST,
    uri::{Authority, PathAndQuery},
};

use crate::{
    error::Failure,
    routes::{CleanPath, Route},
};

/// The host that HTTP/1.0 clients are taken to mean when they name none, as they may (RFC 1945).
const DEFAULT_HOST: HeaderValue = HeaderValue::from_static("localhost");

/// A request's target, taken apart.
pub struct Target {
    authority: Authority,
    path: PathAndQuery,
}

impl Target {
    /// Reads the target of a request in origin form, absolute form, or HTTP/2's pseudo-headers, and makes its
    /// `Host` agree with it (RFC 9112, 3.2.2: an absolute target wins).
    ///
    /// # Errors
    /// [`Failure::BadRequest`] when it names no host, two hosts or an impossible one.
    pub fn from_request<B>(request: &mut Request<B>) -> Result<Self, Failure> {
        let named = request.uri().authority().cloned();
        let authority = match &named {
            // HTTP/2 has no need of a `Host` beside its `:authority`, and what stands in front may have read either.
            Some(authority) if request.version() >= Version::HTTP_2 => {
                let mut hosts = request.headers().get_all(HOST).iter();
                match hosts.all(|host| is_same(host, authority)) {
                    true => authority.clone(),
                    false => return Err(Failure::BadRequest),
                }
            }
            Some(authority) => {
                host_header(request)?;
                authority.clone()
            }
            None => host_header(request)?,
        };
        if named.is_some() && !is_host_and_port(&authority) {
            return Err(Failure::BadRequest);
        }
        if named.is_some() || !request.headers().contains_key(HOST) {
            let host = HeaderValue::from_str(authority.as_str());
            let host = host.map_err(|_| Failure::BadRequest)?;
            request.headers_mut().insert(HOST, host);
        }
        let path = request
            .uri()
            .path_and_query()
            .cloned()
            .ok_or(Failure::BadRequest)?;
        Ok(Self { authority, path })
    }

    /// The host without its port.
    pub fn host(&self) -> Option<&str> {
        Some(self.authority.host())
    }

    /// The path in the form that routes are compared in.
    pub fn path(&self) -> CleanPath<'_> {
        CleanPath::new(self.path.path())
    }

    /// Gives the request the path that the guest is to see, made of its clean `path`, and returns the prefix that was
    /// taken off.
    ///
    /// # Errors
    /// [`Failure::BadRequest`] when what is left is no path, which no route makes of a path that matched it.
    pub fn apply<B>(
        &self,
        route: &Route,
        path: &CleanPath<'_>,
        request: &mut Request<B>,
    ) -> Result<Option<HeaderValue>, Failure> {
        let (rest, prefix) = route.strip(path);
        if prefix.is_empty() && !path.changed() {
            return Ok(None);
        }
        let path = match self.path.query() {
            Some(query) => PathAndQuery::try_from(format!("{rest}?{query}")),
            None => PathAndQuery::try_from(rest),
        };
        let mut parts = http::uri::Parts::default();
        parts.path_and_query = Some(path.map_err(|_| Failure::BadRequest)?);
        *request.uri_mut() = Uri::from_parts(parts).map_err(|_| Failure::BadRequest)?;
        if prefix.is_empty() {
            return Ok(None);
        }
        HeaderValue::from_str(prefix)
            .map(Some)
            .map_err(|_| Failure::BadRequest)
    }
}

fn host_header<B>(request: &Request<B>) -> Result<Authority, Failure> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host,
        (None, _) if request.version() <= Version::HTTP_10 => &DEFAULT_HOST,
        _ => return Err(Failure::BadRequest),
    };
    let authority = Authority::try_from(host.as_bytes()).map_err(|_| Failure::BadRequest)?;
    is_host_and_port(&authority)
        .then_some(authority)
        .ok_or(Failure::BadRequest)
}

/// Returns whether a `Host` names what `:authority` does (RFC 9113, 8.3.1); only one of them may have the port.
fn is_same(host: &HeaderValue, authority: &Authority) -> bool {
    let Ok(host) = Authority::try_from(host.as_bytes()) else {
        return false;
    };
    let ports = (host.port_u16(), authority.port_u16());
    host.host().eq_ignore_ascii_case(authority.host()) && (ports.0 == ports.1 || ports.0.xor(ports.1).is_some())
}

/// Returns whether there is nothing but a host, and a port if any (RFC 9112, 3.2): no user, and a port is a number.
fn is_host_and_port(authority: &Authority) -> bool {
    let Some(rest) = authority.as_str().strip_prefix(authority.host()) else {
        return false;
    };
    // Of http and https (RFC 9110, 4.2.1).
    if authority.host().is_empty() {
        return false;
    }
    let port = rest.strip_prefix(':').unwrap_or(rest);
    port.is_empty()
        || rest.len() > port.len() && port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
}
