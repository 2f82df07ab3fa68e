//! Headers that the gateway adds to a request: `x-request-id`, W3C trace context and `x-forwarded-*`.

#[cfg(test)]
mod tests;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use ipnet::IpNet;
use wasmgate_common::{TRACEPARENT, ensure_traceparent, remove_connection_options, remove_hop_by_hop};
use wasmgate_dapr::INVOCATION_DEPTH;

/// Identity of a request in answers and logs: kept from the client when it is sane, made otherwise.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HTTP: HeaderValue = HeaderValue::from_static("http");
const HTTPS: HeaderValue = HeaderValue::from_static("https");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// What proxies say of a request, in the names that are in use besides RFC 7239's.
const FORWARDED_ALL: &str = "x-forwarded-";
const REAL_IP: &str = "x-real-ip";
pub(crate) const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// What begins so is said by us alone or by trusted proxies. Programs that have headers as variables, as CGI and WSGI
/// do, read a name with `_` for `-` as the same.
const OURS: [&str; 5] = [
    FORWARDED_ALL,
    REAL_IP,
    "x-request-id",
    DAPR_HEADERS,
    "wasmgate-",
];

/// The headers by which the building blocks vouch for a call begin so; nobody outside may set them.
const DAPR_HEADERS: &str = "dapr-";

/// The fields that only a head may have: they say where a request goes and who sends it, and where its body ends (RFC
/// 9110, 6.5.1). What stands in trailers, a guest or whoever it passes them on to may take for one of the head's.
const HEAD_ONLY: [HeaderName; 7] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::AUTHORIZATION,
    header::COOKIE,
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
];

/// The fields by which a guest learns of a request what its connection told, besides its id.
static TOLD: [HeaderName; 6] = [
    header::HOST,
    TRACEPARENT,
    FORWARDED_FOR,
    FORWARDED_PROTO,
    FORWARDED_HOST,
    FORWARDED_PREFIX,
];

/// Longest request id taken from a client: it goes into every log line of the request.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// The request's id, as a header value that is visible ASCII.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    /// The client's id when it is 1 to 128 visible ASCII characters, otherwise a fresh UUID.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Self {
        match headers.get(REQUEST_ID) {
            Some(value) if is_sane(value.as_bytes()) => Self(value.clone()),
            _ => Self::fresh(),
        }
    }

    /// A fresh UUID.
    pub(crate) fn fresh() -> Self {
        let mut buffer = uuid::Uuid::encode_buffer();
        let text = uuid::Uuid::now_v7()
            .as_hyphenated()
            .encode_lower(&mut buffer);
        // A UUID's hexadecimal digits and hyphens are always a header value.
        Self(HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("unknown")))
    }

    /// The id as a header value.
    pub(crate) fn header(&self) -> &HeaderValue {
        &self.0
    }

    /// The id as text.
    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

/// The other end of a connection, written as `x-forwarded-for` has it: once for all its requests.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    address: IpAddr,
    text: HeaderValue,
    /// The proxies that are trusted, if this is one of them: its word on where a request comes from is believed.
    proxies: Option<Arc<[IpNet]>>,
    /// True over TLS.
    is_secured: bool,
}

impl Peer {
    /// The same as one of these proxies, which are trusted, or as anybody.
    pub(crate) fn trusted(self, proxies: Option<Arc<[IpNet]>>) -> Self {
        Self { proxies, ..self }
    }

    /// The same over TLS, or without.
    pub(crate) fn secured(self, is_secured: bool) -> Self {
        Self { is_secured, ..self }
    }

    /// The address that a request comes from: the other end, or what trusted proxies say in `x-forwarded-for`. Each
    /// appends the address that it was called by, so the last that is none of theirs is believed (RFC 7239, 5.2).
    pub(crate) fn client(&self, headers: &HeaderMap) -> IpAddr {
        let Some(proxies) = &self.proxies else {
            return self.address;
        };
        let mut client = self.address;
        let hops = headers.get_all(FORWARDED_FOR).iter();
        let said = hops.rev().map(|hops| hops.to_str().unwrap_or_default());
        for hop in said.flat_map(|hops| hops.rsplit(',')) {
            // Whatever stands before a word that is no address was not written by a proxy of ours.
            let Some(hop) = hop_address(hop.trim()) else {
                break;
            };
            client = hop;
            if !proxies.iter().any(|range| range.contains(&client)) {
                break;
            }
        }
        client
    }
}

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        // One of IPv4 is that also on a socket of IPv6.
        let text = address.to_canonical().to_string();
        // An address in text is always a header value.
        let text = HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("unknown"));
        Self {
            address,
            text,
            proxies: None,
            is_secured: false,
        }
    }
}

/// An address of `x-forwarded-for`, which some proxies write with a port and brackets.
fn hop_address(hop: &str) -> Option<IpAddr> {
    let address = hop
        .parse()
        .or_else(|_| hop.parse::<SocketAddr>().map(|address| address.ip()));
    let bracketed = || hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    Some(address.ok().or_else(bracketed)?.to_canonical())
}

fn is_sane(id: &[u8]) -> bool {
    (1..=MAX_REQUEST_ID_BYTES).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}

/// Writes what the guest is told of the request: its id, its trace, who asked for what, and the stripped prefix.
pub(crate) fn stamp(headers: &mut HeaderMap, id: &RequestId, peer: &Peer, prefix: Option<&HeaderValue>) {
    // The fields that are always for one hop never reach a guest.
    remove_connection_options(headers);
    join_cookies(headers);
    remove_lookalikes(headers);
    headers.insert(REQUEST_ID, id.header().clone());
    ensure_traceparent(headers);
    stamp_forwarded(headers, peer);
    match prefix {
        Some(prefix) => headers.insert(FORWARDED_PREFIX, prefix.clone()),
        None => headers.remove(FORWARDED_PREFIX),
    };
}

/// Makes one field of the cookies, which browsers send one by one over HTTP/2 (RFC 9113, 8.2.3): a guest that looks for
/// the field finds the first cookie alone, or all of them with a comma between.
fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(header::COOKIE).iter();
    if crumbs.next().is_none() || crumbs.next().is_none() {
        return;
    }
    let crumbs = headers.get_all(header::COOKIE).iter();
    let crumbs: Vec<&[u8]> = crumbs.map(HeaderValue::as_bytes).collect();
    // What can stand in the parts of a value can stand in the whole.
    if let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(header::COOKIE, joined);
    }
}

/// Returns whether a request that was stamped came over TLS, to us or to the first of the proxies that stand in front.
pub(crate) fn is_https(headers: &HeaderMap) -> bool {
    let schemes = headers
        .get(FORWARDED_PROTO)
        .map(HeaderValue::as_bytes)
        .unwrap_or_default();
    let first = schemes.split(|byte| *byte == b',').next();
    first.is_some_and(|scheme| scheme.trim_ascii().eq_ignore_ascii_case(HTTPS.as_bytes()))
}

/// Takes out what only the building blocks may say of a call.
pub(crate) fn remove_dapr_headers(headers: &mut HeaderMap) {
    let is_theirs = |name: &&HeaderName| name.as_str().starts_with(DAPR_HEADERS) || *name == INVOCATION_DEPTH;
    let theirs: Vec<_> = headers.keys().filter(is_theirs).cloned().collect();
    for name in theirs {
        headers.remove(name);
    }
}

/// Takes out of a request's trailers what only its head may say, and what only we or the building blocks say of it.
pub(crate) fn clean_trailers(trailers: &mut HeaderMap) {
    keep_trailers(trailers);
    trailers.remove(REQUEST_ID);
    remove_dapr_headers(trailers);
    remove_forwarded(trailers);
    remove_lookalikes(trailers);
}

/// Takes out the names that differ from ours by `_` for `-` alone.
fn remove_lookalikes(headers: &mut HeaderMap) {
    let begins = |name: &str, ours: &str| {
        let mut bytes = name.bytes();
        ours.bytes().all(|our| {
            bytes
                .next()
                .is_some_and(|byte| byte == our || (our == b'-' && byte == b'_'))
        })
    };
    let is_alike = |name: &&HeaderName| {
        let name = name.as_str();
        name.contains('_') && OURS.iter().any(|ours| begins(name, ours))
    };
    let alike: Vec<_> = headers.keys().filter(is_alike).cloned().collect();
    for name in alike {
        headers.remove(name);
    }
}

/// What was told of a request with its head, for whoever is behind a middleware.
#[derive(Debug, Clone)]
pub(crate) struct Told(Vec<(&'static HeaderName, HeaderValue)>);

impl Told {
    /// As it stands in the head that a middleware gets.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let told = TOLD
            .iter()
            .filter_map(|name| Some((name, headers.get(name)?.clone())));
        Self(told.collect())
    }

    /// Writes it into a head that a middleware passes on: its own words stand, and what it left out is as it was. The
    /// id is always the request's, and what only the building blocks may say is no middleware's to say.
    pub(crate) fn stamp(&self, headers: &mut HeaderMap, id: &RequestId) {
        remove_dapr_headers(headers);
        headers.insert(REQUEST_ID, id.header().clone());
        for (name, value) in &self.0 {
            if !headers.contains_key(*name) {
                headers.insert(*name, value.clone());
            }
        }
    }
}

/// Keeps of trailers what is no word about one connection, and nothing that only a head may have.
pub(crate) fn keep_trailers(trailers: &mut HeaderMap) {
    remove_hop_by_hop(trailers);
    for name in &HEAD_ONLY {
        trailers.remove(name);
    }
}

/// The same for a request that the building blocks make: there is no client, and the host is the app.
pub(crate) fn stamp_delivery(headers: &mut HeaderMap, id: &RequestId, app: &str) {
    headers.insert(REQUEST_ID, id.header().clone());
    ensure_traceparent(headers);
    if let Ok(host) = HeaderValue::from_str(app) {
        headers.insert(header::HOST, host);
    }
}

/// Takes out what anybody can say of where a request comes from (RFC 7239, 8.1).
fn remove_forwarded(headers: &mut HeaderMap) {
    let is_said = |name: &&HeaderName| {
        name.as_str().starts_with(FORWARDED_ALL) || **name == header::FORWARDED || name.as_str() == REAL_IP
    };
    let said: Vec<_> = headers.keys().filter(is_said).cloned().collect();
    for name in said {
        headers.remove(name);
    }
}

/// Appends the peer to `x-forwarded-for`, and keeps the protocol and the host that a proxy before us has set, if the
/// peer is one that is trusted; sets them anew otherwise.
fn stamp_forwarded(headers: &mut HeaderMap, peer: &Peer) {
    if peer.proxies.is_none() {
        remove_forwarded(headers);
    }
    let mut hops = headers
        .get_all(FORWARDED_FOR)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .peekable();
    let chain = if hops.peek().is_none() {
        peer.text.clone()
    } else {
        let last = peer.text.to_str().ok();
        let hops: Vec<&str> = hops.chain(last).collect();
        HeaderValue::try_from(hops.join(", ")).unwrap_or_else(|_| peer.text.clone())
    };
    headers.insert(FORWARDED_FOR, chain);
    if !headers.contains_key(FORWARDED_PROTO) {
        let scheme = if peer.is_secured { HTTPS } else { HTTP };
        headers.insert(FORWARDED_PROTO, scheme);
    }
    if !headers.contains_key(FORWARDED_HOST)
        && let Some(host) = headers.get(header::HOST).cloned()
    {
        headers.insert(FORWARDED_HOST, host);
    }
}
