//! Paths, parsed once and written again: what is checked and what is sent are made of the same segments.

use std::borrow::Cow;

use http::uri::PathAndQuery;
use percent_encoding::{percent_decode_str, utf8_percent_encode};

use super::{encode::NOT_IN_A_SEGMENT, is_dot_segment};

/// A path that is refused, since another reader might take it for another one.
#[derive(Debug, thiserror::Error)]
pub enum PathError {
    /// A percent sign without two hexadecimal digits.
    #[error("{0:?} is not percent-encoded; write % as %25")]
    Encoding(String),
    /// Text that is not UTF-8 when it is decoded.
    #[error("the path is not UTF-8")]
    NotUtf8,
    /// A `.` or `..`, however it is written, or NUL.
    #[error("{0:?} may not be a part of a path: no `.`, `..` or NUL")]
    Elsewhere(String),
}

/// The segments of a path, decoded. Empty ones are left out, as the sidecar cleans paths.
///
/// Refused are a `.` or `..` as a whole segment, however it is written or hidden behind an encoded slash or backslash,
/// and encoded NUL: whoever comes later might clean the path again and be somewhere else.
///
/// # Errors
/// When the path is refused.
pub fn segments(path: &str) -> Result<Vec<Cow<'_, str>>, PathError> {
    raw_segments(path).map(decoded).collect()
}

/// The segments of a path as they stand.
pub fn raw_segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

fn decoded(segment: &str) -> Result<Cow<'_, str>, PathError> {
    // As nearly every segment is: nothing to decode, and nothing that moves elsewhere.
    if !segment.contains('%') && !segment.contains('.') {
        return Ok(Cow::Borrowed(segment));
    }
    if !is_well_encoded(segment) {
        return Err(PathError::Encoding(segment.to_owned()));
    }
    let decoded = percent_decode_str(segment).decode_utf8();
    let decoded = decoded.map_err(|_| PathError::NotUtf8)?;
    if decoded.contains('\0') || decoded.split(['/', '\\']).any(is_dot_segment) {
        return Err(PathError::Elsewhere(segment.to_owned()));
    }
    Ok(decoded)
}

fn is_well_encoded(segment: &str) -> bool {
    let mut parts = segment.split('%');
    let _before_the_first = parts.next();
    parts.all(|part| {
        let mut digits = part.bytes();
        let mut is_digit = || digits.next().is_some_and(|byte| byte.is_ascii_hexdigit());
        is_digit() && is_digit()
    })
}

/// The parameters of an operation: beyond [`segments`], a plus sign is a blank, as it is to a Dapr sidecar.
///
/// # Errors
/// When the path is refused.
pub fn parameters(path: &str) -> Result<Vec<Cow<'_, str>>, PathError> {
    let parameters = raw_segments(path).map(|segment| match segment.contains('+') {
        true => decoded(&segment.replace('+', "%20")).map(|text| Cow::Owned(text.into_owned())),
        false => decoded(segment),
    });
    parameters.collect()
}

/// A path of these segments.
pub fn from_segments<S: AsRef<str>>(segments: &[S]) -> String {
    if segments.is_empty() {
        return "/".to_owned();
    }
    let mut path = String::new();
    for segment in segments {
        path.push('/');
        path.extend(utf8_percent_encode(segment.as_ref(), NOT_IN_A_SEGMENT));
    }
    path
}

/// A route as a path: with its leading slash.
pub fn with_leading_slash(route: &str) -> String {
    if route.starts_with('/') {
        route.to_owned()
    } else {
        format!("/{route}")
    }
}

/// Returns whether a route, with its leading slash, is the path of a request, with or without a query (RFC 9112,
/// 3.2.1).
pub fn is_route(route: &str) -> bool {
    let whole = with_leading_slash(route);
    // What is behind `#` would be left out.
    PathAndQuery::try_from(whole.as_str()).is_ok_and(|target| target == whole.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_what_a_request_can_be_sent_to_whole() {
        for route in ["", "/", "orders", "/a/b", "/a%20b", "/a?x=1", "?x=1"] {
            assert!(is_route(route), "{route:?}");
        }
        for route in ["/a b", "a b", "/a#b", "/a\n", "/a\0", " /a", "/a\tb"] {
            assert!(!is_route(route), "{route:?}");
        }
    }

    #[test]
    fn a_segment_that_moves_elsewhere_is_refused_however_it_is_written() {
        for path in [
            "/a/../b",
            "/a/..",
            "/a/./b",
            "/.",
            "/a//../b",
            "/a/%2e%2e/b",
            "/a/%2E./b",
            "/a/.%2e/b",
            "/a%2F..%2Fb",
            "/a%2f%2e%2e%2fb",
            "/a/..%2Fb",
            "/a/..%5cb",
            "/a\\..\\b",
            "/a/b%00",
            "/a/%zz",
            "/a/%2",
            "/a/%",
            "/a/%ff",
            "/a/%c0%ae%c0%ae/b",
        ] {
            assert!(segments(path).is_err(), "{path}");
        }
    }

    #[test]
    fn other_paths_mean_what_they_say_and_are_written_back_the_same() {
        for (path, read, again) in [
            ("/a//b/", vec!["a", "b"], "/a/b"),
            ("/a%2Fb", vec!["a/b"], "/a%2Fb"),
            ("/a..b/...", vec!["a..b", "..."], "/a..b/..."),
            ("/%252e%252e", vec!["%2e%2e"], "/%252e%252e"),
            (
                "/x,y;z=1:@!$&'()*+~",
                vec!["x,y;z=1:@!$&'()*+~"],
                "/x,y;z=1:@!$&'()*+~",
            ),
            ("/%61%20ü", vec!["a ü"], "/a%20%C3%BC"),
            ("", vec![], "/"),
        ] {
            let found = segments(path).unwrap();
            assert_eq!(found, read, "{path}");
            assert_eq!(from_segments(&found), again, "{path}");
        }
        assert_eq!(parameters("/a+b%2B").unwrap(), ["a b+"]);
    }
}
