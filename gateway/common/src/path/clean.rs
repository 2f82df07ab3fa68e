//! The normal form in which paths are compared.

use std::borrow::Cow;

use super::is_dot_segment;

/// A request's path in the form in which routes see it and guests get it.
///
/// - `.` and `..` segments are resolved, percent-encoded ones too (RFC 3986, 5.2.4): a detour through
///   one route's prefix does not reach past a more specific route.
/// - Percent-encoded unreserved characters are decoded and the digits of the others are upper case
///   (RFC 3986, 6.2.2): `/%68ello` is `/hello`. Nothing else is decoded, so `%2F` stays inside its
///   segment.
/// - Characters that a path may not hold as they are become percent-encoded, and so does a `%` without
///   two hexadecimal digits.
/// - Empty segments (`//`) and a trailing slash stay: `/a`, `/a/` and `/a//` are three paths.
///
/// A path that is in this form already, as nearly all are, is borrowed and nothing is allocated.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CleanPath<'p>(Cow<'p, str>);

impl<'p> CleanPath<'p> {
    /// Cleans the path of a request target; no query or fragment may be in it.
    pub fn new(raw: &'p str) -> Self {
        if is_clean(raw.as_bytes()) {
            Self(Cow::Borrowed(raw))
        } else {
            Self(Cow::Owned(resolve_dots(&clean_encoding(raw))))
        }
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether the path differs from the one that was asked for.
    pub fn changed(&self) -> bool {
        matches!(self.0, Cow::Owned(_))
    }
}

/// Percent-encodes and decodes as [`CleanPath`] says, leaving dot segments alone.
pub fn clean_encoding(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match (byte, tail) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                rest = after;
                let value = hex(*high) << 4 | hex(*low);
                if is_unreserved(value) {
                    out.push(char::from(value));
                } else {
                    push_encoded(&mut out, value);
                }
            }
            (byte, _) if *byte == b'/' || is_path_character(*byte) => out.push(char::from(*byte)),
            (byte, _) => push_encoded(&mut out, *byte),
        }
    }
    out
}

/// Returns whether cleaning would change nothing. Errs only towards `false`.
fn is_clean(raw: &[u8]) -> bool {
    let mut previous = 0;
    for &byte in raw {
        let dot_segment_may_start = previous == b'/' && byte == b'.';
        if dot_segment_may_start || !(byte == b'/' || is_path_character(byte)) {
            return false;
        }
        previous = byte;
    }
    true
}

/// Takes out `.` and `..` segments, RFC 3986, 5.2.4.
fn resolve_dots(path: &str) -> String {
    let Some(inner) = path.strip_prefix('/') else {
        return path.to_owned();
    };
    let mut out = String::with_capacity(path.len());
    let mut ends_in_dots = false;
    for segment in inner.split('/') {
        ends_in_dots = is_dot_segment(segment);
        match segment {
            "." => {}
            ".." => out.truncate(out.rfind('/').unwrap_or(0)),
            _ => {
                out.push('/');
                out.push_str(segment);
            }
        }
    }
    if ends_in_dots || out.is_empty() {
        out.push('/');
    }
    out
}

fn push_encoded(out: &mut String, byte: u8) {
    out.push('%');
    for digit in [byte >> 4, byte & 15] {
        let digit = char::from_digit(u32::from(digit), 16).unwrap_or_default();
        out.push(digit.to_ascii_uppercase());
    }
}

/// RFC 3986, 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// `pchar` of RFC 3986, 3.3, without percent-encoding.
fn is_path_character(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(
            byte,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'@'
        )
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit.wrapping_sub(b'A').wrapping_add(10),
    }
}
