//! Who may make calls that change something: processes on this machine and holders of the token, but no page in a
//! browser.
//!
//! A page can send a request to any address that its browser reaches, loopback included, also under a host name of its
//! own that it has resolve to one (DNS rebinding). But it cannot send JSON to another origin without a preflight
//! request, cannot hide its `Origin`, and cannot choose `Host`.

use std::net::SocketAddr;

use axum::{
    Json,
    extract::{ConnectInfo, FromRequestParts},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde_json::json;
use subtle::ConstantTimeEq as _;
use wasmgate_common::{is_loopback, is_ours, single};

use super::Status;
use crate::config::Secret;

/// A call that may change something. A handler that takes it as an argument is not run for any other.
pub(super) struct Allowed;

impl FromRequestParts<Status> for Allowed {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, status: &Status) -> Result<Self, Refused> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let ConnectInfo(peer) = peer.ok_or(Refused::NotLocal)?;
        check(&parts.headers, &parts.uri, *peer, status.0.token.as_ref())?;
        Ok(Self)
    }
}

/// The reason for which a call was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// It comes from another machine, and there is no token.
    NotLocal,
    /// The token is wrong, or missing where one is configured.
    Token,
    /// The host name is not this machine's.
    Host,
    /// A web page of another origin sent it.
    Origin,
    /// It is not JSON.
    ContentType,
}

impl Refused {
    fn describe(self) -> (StatusCode, &'static str) {
        match self {
            Self::NotLocal => (
                StatusCode::FORBIDDEN,
                "call from this machine, or set WASMGATE_ADMIN_TOKEN for the gateway and send it as a bearer token",
            ),
            Self::Token => (
                StatusCode::UNAUTHORIZED,
                "send the gateway's WASMGATE_ADMIN_TOKEN as `authorization: Bearer …`",
            ),
            Self::Host => (
                StatusCode::FORBIDDEN,
                "call by `localhost` or a loopback address, or with the token",
            ),
            Self::Origin => (
                StatusCode::FORBIDDEN,
                "pages of other origins may not call this",
            ),
            Self::ContentType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "send `content-type: application/json`",
            ),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, message) = self.describe();
        let mut response = (status, Json(json!({ "message": message }))).into_response();
        if self == Self::Token {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Checks whether a call from `peer` may change something.
fn check(headers: &HeaderMap, uri: &Uri, peer: SocketAddr, token: Option<&Secret>) -> Result<(), Refused> {
    let trusted = has_token(headers, token)?;
    if !trusted && !is_loopback(peer.ip()) {
        let missing = token.map_or(Refused::NotLocal, |_| Refused::Token);
        return Err(missing);
    }
    let host = single(headers, header::HOST).ok_or(Refused::Host)?;
    // A holder of the token is no web page, and may use any name for this machine.
    let is_named = is_ours(host) && uri.authority().is_none_or(|name| is_ours(name.as_str()));
    if !trusted && !is_named {
        return Err(Refused::Host);
    }
    if headers.contains_key(header::ORIGIN) {
        let origin = single(headers, header::ORIGIN).ok_or(Refused::Origin)?;
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        if authority != Some(host) {
            return Err(Refused::Origin);
        }
    }
    let content_type = single(headers, header::CONTENT_TYPE).ok_or(Refused::ContentType)?;
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Refused::ContentType);
    }
    Ok(())
}

/// Returns whether the right token was sent; a wrong one is refused from anywhere.
fn has_token(headers: &HeaderMap, token: Option<&Secret>) -> Result<bool, Refused> {
    if !headers.contains_key(header::AUTHORIZATION) {
        return Ok(false);
    }
    let sent = single(headers, header::AUTHORIZATION).ok_or(Refused::Token)?;
    let (scheme, sent) = sent.split_once(' ').unwrap_or_default();
    let right = token.is_some_and(|token| {
        token
            .reveal()
            .as_bytes()
            .ct_eq(sent.trim().as_bytes())
            .into()
    });
    if scheme.eq_ignore_ascii_case("bearer") && right {
        Ok(true)
    } else {
        Err(Refused::Token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: &str = "127.0.0.1:5";
    const REMOTE: &str = "192.0.2.7:5";

    /// Checks a call with these headers beside a JSON content type.
    fn checked(peer: &str, token: Option<&str>, headers: &[(&str, &str)]) -> Result<(), Refused> {
        let mut map = HeaderMap::new();
        map.insert("content-type", HeaderValue::from_static("application/json"));
        for (name, value) in headers {
            let name: header::HeaderName = name.parse().unwrap();
            map.insert(name, value.parse().unwrap());
        }
        let token = token.map(Secret::new);
        let uri = Uri::from_static("/parked/drop");
        check(&map, &uri, peer.parse().unwrap(), token.as_ref())
    }

    #[test]
    fn a_call_from_this_machine_by_its_own_name_passes() {
        for host in [
            "localhost",
            "localhost:9090",
            "127.0.0.1:9090",
            "[::1]:9090",
        ] {
            assert_eq!(checked(LOCAL, None, &[("host", host)]), Ok(()), "{host}");
        }
        let same = [
            ("host", "localhost:9090"),
            ("origin", "http://localhost:9090"),
        ];
        assert_eq!(checked("[::ffff:127.0.0.1]:5", None, &same), Ok(()));
    }

    #[test]
    fn a_page_in_a_browser_is_refused_whatever_it_sends() {
        let rebound = [("host", "evil.example:9090")];
        assert_eq!(checked(LOCAL, None, &rebound), Err(Refused::Host));
        for origin in [
            "http://evil.example",
            "null",
            "http://localhost:3000",
            "https://evil.example:9090",
        ] {
            let sent = [("host", "localhost:9090"), ("origin", origin)];
            assert_eq!(
                checked(LOCAL, None, &sent),
                Err(Refused::Origin),
                "{origin}"
            );
        }
        for simple in ["text/plain", "application/x-www-form-urlencoded", ""] {
            let sent = [("host", "localhost"), ("content-type", simple)];
            assert_eq!(checked(LOCAL, None, &sent), Err(Refused::ContentType));
        }
        assert_eq!(checked(LOCAL, None, &[]), Err(Refused::Host));
    }

    #[test]
    fn another_machine_needs_the_token() {
        let named = ("host", "gateway.example:9090");
        assert_eq!(checked(REMOTE, None, &[named]), Err(Refused::NotLocal));
        assert_eq!(checked(REMOTE, Some("t"), &[named]), Err(Refused::Token));
        for (sent, right) in [
            ("Bearer secret", true),
            ("bearer secret", true),
            ("Bearer secre", false),
            ("Bearer secret2", false),
            ("Basic secret", false),
            ("secret", false),
            ("Bearer ", false),
        ] {
            let headers = [named, ("authorization", sent)];
            let expected = if right { Ok(()) } else { Err(Refused::Token) };
            assert_eq!(
                checked(REMOTE, Some("secret"), &headers),
                expected,
                "{sent}"
            );
        }
        let empty = [named, ("authorization", "Bearer ")];
        assert_eq!(checked(LOCAL, None, &empty), Err(Refused::Token));
    }
}
