//! Refuses web pages at the API for other processes where there is no token.

use http::{Request, header, uri::Authority};
use wasmgate_common::{is_ours, single};

use crate::settings::Settings;

/// The header by which a browser tells whose page sends a request (W3C Fetch Metadata).
const FETCH_SITE: header::HeaderName = header::HeaderName::from_static("sec-fetch-site");

const HOST: &str = "call by `localhost` or a loopback address, name the host in [dapr] allowed_hosts, or set DAPR_API_TOKEN for the gateway";
const ORIGIN: &str = "pages in a browser may not call this; name the page's origin in [dapr] allowed_origins, or set DAPR_API_TOKEN for the gateway";

/// Refuses what a page may have sent, or what came by a name that a page may have chosen; says why, and what to do.
pub(super) fn check<B>(settings: &Settings, request: &Request<B>) -> Result<(), &'static str> {
    let headers = request.headers();
    let named = |authority: &str| is_ours(authority) || is_listed(settings, authority);
    let by_authority = request.uri().authority().map(|name| named(name.as_str()));
    let by_host = headers
        .contains_key(header::HOST)
        .then(|| single(headers, header::HOST).is_some_and(named));
    let names = [by_authority, by_host];
    if names.contains(&Some(false)) || names == [None, None] {
        return Err(HOST);
    }
    let is_allowed = |origin: &str| {
        let mut allowed = settings.allowed_origins.iter();
        allowed.any(|allowed| allowed.eq_ignore_ascii_case(origin))
    };
    if headers.contains_key(header::ORIGIN) {
        let origin = single(headers, header::ORIGIN);
        return match origin.is_some_and(is_allowed) {
            true => Ok(()),
            false => Err(ORIGIN),
        };
    }
    // A page's GET may have no origin; `none` is somebody who typed the address.
    let is_page = headers.contains_key(FETCH_SITE) && single(headers, FETCH_SITE) != Some("none");
    if is_page { Err(ORIGIN) } else { Ok(()) }
}

/// Returns true if a host is listed, with its port or for any.
fn is_listed(settings: &Settings, authority: &str) -> bool {
    let Ok(authority) = authority.parse::<Authority>() else {
        return false;
    };
    let mut listed = settings.allowed_hosts.iter();
    listed
        .any(|listed| listed.eq_ignore_ascii_case(authority.as_str()) || listed.eq_ignore_ascii_case(authority.host()))
}
