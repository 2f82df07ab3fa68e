//! Percent-encoding (RFC 3986, 2.1) for paths and queries.

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

/// The characters that may not stand for themselves in a path, but for the slash (RFC 3986, 3.3).
const NOT_IN_A_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Those that may not stand for themselves in one segment of a path.
pub(super) const NOT_IN_A_SEGMENT: &AsciiSet = &NOT_IN_A_PATH.add(b'/');

/// Encodes a text that becomes a part of a path with its slashes.
pub fn encode_path(text: &str) -> String {
    utf8_percent_encode(text, NOT_IN_A_PATH).to_string()
}

/// Encodes a text that becomes one segment of a path, or one name or value of a query: all but ASCII letters and
/// digits.
pub fn encode_component(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_keeps_letters_and_digits_and_a_path_its_slashes_too() {
        assert_eq!(encode_component("a/b c-1.é"), "a%2Fb%20c%2D1%2E%C3%A9");
        assert_eq!(encode_path("a/b c-1.%"), "a/b%20c-1.%25");
    }
}
