//! Tells a program on this machine from a web page in its browser.
//!
//! A page can send a request to any address that its browser reaches, loopback included, also under a host name of its
//! own that it has resolve to one (DNS rebinding). It cannot hide its `Origin`, and cannot choose `Host`.

use std::net::IpAddr;

use http::{HeaderMap, header::HeaderName, uri::Authority};

/// The value of a header that is there once and is text.
pub fn single(headers: &HeaderMap, name: impl Into<HeaderName>) -> Option<&str> {
    let mut values = headers.get_all(name.into()).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// True for an authority that names this machine in a way that no other name can stand for.
pub fn is_ours(authority: &str) -> bool {
    let Ok(authority) = authority.parse::<Authority>() else {
        return false;
    };
    let host = authority.host();
    let literal = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || literal.parse().is_ok_and(is_loopback)
}

/// True for an address of this machine's own, also as IPv6 writes it.
pub fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}
