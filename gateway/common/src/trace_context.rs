//! Trace context (W3C Trace Context, level 1).

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

/// The trace that a request belongs to, and the span that caused it.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Tracing systems' own notes on the trace.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The length of a `traceparent` of version 00, in bytes.
const LENGTH: usize = "00-tttttttttttttttttttttttttttttttt-pppppppppppppppp-00".len();

/// A `traceparent`.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct TraceParent([u8; LENGTH]);

impl TraceParent {
    /// A new trace, not sampled.
    pub fn random() -> Self {
        let trace = uuid::Uuid::new_v4();
        let (parent, _) = uuid::Uuid::new_v4().as_u64_pair();
        let mut text = *b"00-tttttttttttttttttttttttttttttttt-pppppppppppppppp-00";
        // The places are as long as what is written to them. The version that a UUID holds keeps both from being zero.
        if let Some(place) = text.get_mut(3..35) {
            let _ = hex::encode_to_slice(trace.as_bytes(), place);
        }
        if let Some(place) = text.get_mut(36..52) {
            let _ = hex::encode_to_slice(parent.to_be_bytes(), place);
        }
        Self(text)
    }

    /// The `traceparent` as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The `traceparent` as a header's value.
    pub fn to_header(&self) -> HeaderValue {
        HeaderValue::from_bytes(&self.0).unwrap_or(HeaderValue::from_static(""))
    }
}

impl fmt::Debug for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TraceParent").field(&self.as_str()).finish()
    }
}

/// Returns whether a value is a well-formed `traceparent`: `version-traceid-parentid-flags`, with the lengths and the
/// non-zero rules of the specification.
pub fn is_traceparent(value: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(value) else {
        return false;
    };
    let mut parts = text.split('-');
    let mut hex = |length: usize| {
        parts
            .next()
            .filter(|part| part.len() == length && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
    };
    let (version, trace, parent, flags) = (hex(2), hex(32), hex(16), hex(2));
    let nonzero = |part: Option<&str>| part.is_some_and(|part| part.bytes().any(|b| b != b'0'));
    let version_fits = match version {
        Some("ff") | None => false,
        Some("00") => parts.next().is_none(),
        Some(_) => true,
    };
    version_fits && nonzero(trace) && nonzero(parent) && flags.is_some()
}

/// Passes a well-formed `traceparent` on. Starts a trace where there is none or more than one (section 3.2.1), and then
/// drops `tracestate`, which belongs to the trace that was not understood.
pub fn ensure_traceparent(headers: &mut HeaderMap) {
    let mut given = headers.get_all(TRACEPARENT).iter();
    let known = given
        .next()
        .is_some_and(|value| is_traceparent(value.as_bytes()))
        && given.next().is_none();
    if !known {
        headers.insert(TRACEPARENT, TraceParent::random().to_header());
        headers.remove(TRACESTATE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn of_two_traces_neither_passes() {
        let mut headers = HeaderMap::new();
        headers.append(TRACEPARENT, HeaderValue::from_static(GOOD));
        headers.append(TRACEPARENT, HeaderValue::from_static(GOOD));
        headers.append(TRACESTATE, HeaderValue::from_static("a=b"));
        ensure_traceparent(&mut headers);
        let now: Vec<_> = headers.get_all(TRACEPARENT).iter().collect();
        assert!(now.len() == 1 && now[0] != GOOD, "{now:?}");
        assert!(!headers.contains_key(TRACESTATE));
    }

    #[test]
    fn a_well_formed_trace_passes_and_a_broken_one_is_replaced_with_its_state() {
        for (given, kept) in [
            (GOOD, true),
            (
                "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
                true,
            ),
            ("", false),
            ("00-0-0-0", false),
            (
                "00-00000000000000000000000000000000-b7ad6b7169203331-01",
                false,
            ),
            (
                "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
                false,
            ),
            (
                "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
                false,
            ),
            (
                "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                false,
            ),
            (
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
                false,
            ),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(TRACEPARENT, HeaderValue::from_static(given));
            headers.insert(TRACESTATE, HeaderValue::from_static("a=b"));
            ensure_traceparent(&mut headers);
            assert!(is_traceparent(headers[TRACEPARENT].as_bytes()), "{given}");
            assert_eq!(headers[TRACEPARENT] == given, kept, "{given}");
            assert_eq!(headers.contains_key(TRACESTATE), kept, "{given}");
        }
    }

    #[test]
    fn a_new_trace_is_well_formed_and_like_no_other() {
        let (one, other) = (TraceParent::random(), TraceParent::random());
        assert!(is_traceparent(one.as_str().as_bytes()), "{one:?}");
        assert_eq!(one.to_header(), one.as_str());
        assert_ne!(one, other);
    }
}
