//! Percent-encoding (RFC 3986, section 2.1).

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Everything but the unreserved characters (RFC 3986, section 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Decodes `%xx`. An escape that is not one stays as it is, and so does a text that would not be
/// UTF-8.
pub(crate) fn decode(text: &str) -> Cow<'_, str> {
    // Most texts have none, and are spared the check for UTF-8.
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let bytes = percent_decode_str(text).collect();
    String::from_utf8(bytes).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// Decodes a part of a query string, where `+` stands for a space.
pub(crate) fn decode_form(text: &str) -> Cow<'_, str> {
    if !text.contains('+') {
        return decode(text);
    }
    let spaced = text.replace('+', " ");
    let bytes = percent_decode_str(&spaced).collect();
    String::from_utf8(bytes).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// Encodes everything but unreserved characters, for one path segment or query part.
///
/// ```
/// assert_eq!(wasmgate_sdk::percent_encode("a b/ü"), "a%20b%2F%C3%BC");
/// ```
pub fn percent_encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_escapes_and_keeps_what_is_not_one() {
        assert_eq!(decode("caf%C3%A9%20%2f"), "café /");
        assert_eq!(decode("100%"), "100%");
        assert_eq!(decode("%zz+%4"), "%zz+%4");
        assert_eq!(decode("%41%ff"), "%41%ff");
        assert_eq!(decode_form("a+b%2B"), "a b+");
        assert_eq!(decode_form("a+b%ff"), "a+b%ff");
        assert!(matches!(decode("plain"), Cow::Borrowed("plain")));
        assert!(matches!(decode_form("plain"), Cow::Borrowed("plain")));
    }

    #[test]
    fn encoding_is_undone_by_decoding() {
        let text = "a b/ü?&=%+~";
        assert_eq!(decode(&percent_encode(text)), text);
    }
}
