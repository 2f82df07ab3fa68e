//! Connection-specific headers, which are not forwarded (RFC 9110, 7.6.1).

use http::{HeaderMap, HeaderName, header};

/// Those that are so by their names: the ones that the RFC lists, and older ones that clients still send.
const NAMES: [HeaderName; 10] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Returns whether a header is hop by hop by its name, which is in lower case.
pub fn is_hop_by_hop(name: &str) -> bool {
    NAMES.iter().any(|known| known.as_str() == name)
}

/// Removes the headers that are hop by hop, by their names or by `Connection`.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    remove_connection_options(headers);
    for name in &NAMES {
        headers.remove(name);
    }
}

/// Removes the headers that `Connection` names, except `Host`, which every request needs.
pub fn remove_connection_options(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok())
        .filter(|name| *name != header::HOST)
        .collect();
    for name in named {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn headers_for_one_connection_are_removed_and_others_stay() {
        let mut headers = HeaderMap::new();
        for name in ["te", "keep-alive", "x-mine", "host", "accept"] {
            headers.insert(name, HeaderValue::from_static("1"));
        }
        headers.append("connection", HeaderValue::from_static("close, X-Mine"));
        headers.append(
            "connection",
            HeaderValue::from_static("host, no header name"),
        );
        let mut some = headers.clone();
        remove_connection_options(&mut some);
        assert!(!some.contains_key("x-mine") && some.contains_key("te") && some.contains_key("host"));
        remove_hop_by_hop(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["accept", "host"]);
        assert!(is_hop_by_hop("transfer-encoding") && !is_hop_by_hop("host"));
    }
}
