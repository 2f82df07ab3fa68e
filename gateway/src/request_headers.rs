//! The headers that the gateway gives a request on its way: `x-request-id`, W3C trace context and the `x-forwarded-*`
//! headers.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use wasmgate_common::{ensure_traceparent, remove_connection_options};
use wasmgate_dapr::INVOCATION_DEPTH;

/// Identity of a request in answers and logs: kept from the client when it is sane, made otherwise.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// What proxies say of a request, in the names that are in use besides RFC 7239's.
const FORWARDED_ALL: &str = "x-forwarded-";
const REAL_IP: &str = "x-real-ip";
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// The headers by which the building blocks vouch for a call begin so; nobody outside may set them.
const DAPR_HEADERS: &str = "dapr-";

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
    text: HeaderValue,
    /// It is a proxy, whose word on where a request comes from is believed.
    is_trusted: bool,
}

impl Peer {
    /// The same as a proxy that is trusted, or as anybody.
    pub(crate) fn trusted(self, is_trusted: bool) -> Self {
        Self { is_trusted, ..self }
    }
}

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        // One of IPv4 is that also on a socket of IPv6.
        let text = address.to_canonical().to_string();
        // An address in text is always a header value.
        Self {
            text: HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("unknown")),
            is_trusted: false,
        }
    }
}

fn is_sane(id: &[u8]) -> bool {
    (1..=MAX_REQUEST_ID_BYTES).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}

/// Writes what the guest is told of the request: its id, its trace, who asked for what, and the stripped prefix.
pub(crate) fn stamp(headers: &mut HeaderMap, id: &RequestId, peer: &Peer, prefix: Option<&HeaderValue>) {
    // The fields that are always for one hop never reach a guest.
    remove_connection_options(headers);
    headers.insert(REQUEST_ID, id.header().clone());
    ensure_traceparent(headers);
    stamp_forwarded(headers, peer);
    match prefix {
        Some(prefix) => headers.insert(FORWARDED_PREFIX, prefix.clone()),
        None => headers.remove(FORWARDED_PREFIX),
    };
}

/// Takes out what only the building blocks may say of a call.
pub(crate) fn remove_dapr_headers(headers: &mut HeaderMap) {
    let is_theirs = |name: &&HeaderName| name.as_str().starts_with(DAPR_HEADERS) || *name == INVOCATION_DEPTH;
    let theirs: Vec<_> = headers.keys().filter(is_theirs).cloned().collect();
    for name in theirs {
        headers.remove(name);
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
    if !peer.is_trusted {
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
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static("http"));
    }
    if !headers.contains_key(FORWARDED_HOST)
        && let Some(host) = headers.get(header::HOST).cloned()
    {
        headers.insert(FORWARDED_HOST, host);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamped(pairs: &[(&str, &str)]) -> HeaderMap {
        stamped_by(pairs, true)
    }

    fn stamped_by(pairs: &[(&str, &str)], is_trusted: bool) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(
                HeaderName::try_from(*name).unwrap(),
                HeaderValue::try_from(*value).unwrap(),
            );
        }
        let id = RequestId::from_headers(&headers);
        let peer = Peer::from(IpAddr::from([10, 0, 0, 9])).trusted(is_trusted);
        stamp(&mut headers, &id, &peer, None);
        headers
    }

    #[test]
    fn a_sane_request_id_is_kept_and_another_is_replaced() {
        assert_eq!(
            stamped(&[("x-request-id", "abc-1")])["x-request-id"],
            "abc-1"
        );
        for bad in ["", "has space", &"x".repeat(129)] {
            let headers = stamped(&[("x-request-id", bad)]);
            assert_ne!(headers["x-request-id"], *bad);
            assert_eq!(headers["x-request-id"].len(), 36);
        }
    }

    #[test]
    fn the_peer_is_appended_to_the_hops_before_it() {
        assert_eq!(stamped(&[])["x-forwarded-for"], "10.0.0.9");
        let headers = stamped(&[
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-for", "2.2.2.2"),
        ]);
        assert_eq!(headers["x-forwarded-for"], "1.1.1.1, 2.2.2.2, 10.0.0.9");
    }

    #[test]
    fn what_anybody_says_of_where_a_request_comes_from_is_replaced() {
        let said = [
            ("host", "shop.example.com"),
            ("forwarded", "for=1.1.1.1;proto=https"),
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil.example.com"),
            ("x-forwarded-port", "443"),
            ("x-real-ip", "1.1.1.1"),
        ];
        let headers = stamped_by(&said, false);
        assert_eq!(headers["x-forwarded-for"], "10.0.0.9");
        assert_eq!(headers["x-forwarded-proto"], "http");
        assert_eq!(headers["x-forwarded-host"], "shop.example.com");
        for name in ["forwarded", "x-forwarded-port", "x-real-ip"] {
            assert!(!headers.contains_key(name), "{name}");
        }
        let headers = stamped_by(&said, true);
        assert_eq!(headers["x-forwarded-for"], "1.1.1.1, 10.0.0.9");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert!(headers.contains_key("forwarded"));
    }

    #[test]
    fn a_prefix_of_the_clients_own_making_is_removed() {
        assert!(!stamped(&[("x-forwarded-prefix", "/admin")]).contains_key("x-forwarded-prefix"));
    }
}
