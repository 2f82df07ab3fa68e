//! Percent-encoding (RFC 3986, section 2.1).

use std::borrow::Cow;

/// Decodes `%xx`. An escape that is not one stays as it is, and so does a text that would not be
/// UTF-8.
pub(crate) fn decode(text: &str) -> Cow<'_, str> {
    if text.as_bytes().contains(&b'%') {
        decode_bytes(text, text.bytes())
    } else {
        Cow::Borrowed(text)
    }
}

/// Decodes a part of a query string, where `+` stands for a space.
pub(crate) fn decode_form(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte == b'%' || byte == b'+') {
        let space = |byte| if byte == b'+' { b' ' } else { byte };
        decode_bytes(text, text.bytes().map(space))
    } else {
        Cow::Borrowed(text)
    }
}

/// Encodes everything but unreserved characters, for one path segment or query part.
///
/// ```
/// assert_eq!(wasmgate_sdk::percent_encode("a b/ü"), "a%20b%2F%C3%BC");
/// ```
pub fn percent_encode(text: &str) -> String {
    const HEX: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    let digit = |value: u8| HEX.get(usize::from(value)).copied().unwrap_or('0');
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    out
}

fn decode_bytes(text: &str, bytes: impl Iterator<Item = u8> + Clone) -> Cow<'_, str> {
    let mut out = Vec::new();
    let mut rest = bytes;
    while let Some(byte) = rest.next() {
        let mut ahead = rest.clone();
        let escape = (byte == b'%').then(|| Some((hex(ahead.next()?)?, hex(ahead.next()?)?)));
        match escape.flatten() {
            Some((high, low)) => {
                out.push((high << 4) | low);
                rest = ahead;
            }
            None => out.push(byte),
        }
    }
    String::from_utf8(out).map_or(Cow::Borrowed(text), Cow::Owned)
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
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
    }

    #[test]
    fn encoding_is_undone_by_decoding() {
        let text = "a b/ü?&=%+~";
        assert_eq!(decode(&percent_encode(text)), text);
    }
}
