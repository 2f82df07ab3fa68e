//! Values of `wasi:keyvalue`, which are bytes, in a Dapr state store, which holds JSON.
//!
//! Bytes come back unchanged, and other clients of the store can read them where possible:
//!
//! | bytes | stored as |
//! |---|---|
//! | JSON, except a text or `null`: an object, a list, a number | that JSON |
//! | other text | a JSON text |
//! | anything else | a JSON text: `data:application/octet-stream;base64,…` (RFC 2397) |
//!
//! In the other direction, a text that another client of the store saved is read without its quotation marks. A sidecar
//! parses JSON and formats it again, as its stores may; so beside a sidecar JSON that one of them would format
//! differently is stored as a text: any object or list.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, value::RawValue};

use super::Error;

/// Stands before bytes that are no text.
const BYTES: &str = "data:application/octet-stream;base64,";

/// The largest whole number that every reader of JSON keeps as it is: 2^53.
const MOST_EXACT: u64 = 1 << 53;

/// Writes bytes as JSON; `is_verbatim` tells whether the store keeps JSON as it is written.
pub(super) fn encode(bytes: &[u8], is_verbatim: bool) -> Result<Box<RawValue>, Error> {
    if let Some(json) = as_json(bytes, is_verbatim) {
        return Ok(json);
    }
    let text = str::from_utf8(bytes).ok().filter(|text| is_short(text));
    let written = match text {
        Some(text) if !text.starts_with(BYTES) => serde_json::value::to_raw_value(text),
        _ => serde_json::value::to_raw_value(&format!("{BYTES}{}", STANDARD.encode(bytes))),
    };
    written.map_err(Error::other)
}

/// Reads the bytes that a JSON value stands for.
pub(super) fn decode(json: &[u8]) -> Vec<u8> {
    if json.first() != Some(&b'"') {
        return json.to_vec();
    }
    let Ok(text) = serde_json::from_slice::<String>(json) else {
        return json.to_vec();
    };
    let bytes = text
        .strip_prefix(BYTES)
        .and_then(|bytes| STANDARD.decode(bytes).ok());
    bytes.unwrap_or_else(|| text.into_bytes())
}

/// The same bytes, if they are JSON that can be kept as it is.
fn as_json(bytes: &[u8], is_verbatim: bool) -> Option<Box<RawValue>> {
    let (first, last) = (bytes.first()?, bytes.last()?);
    if matches!(first, b'"' | b'n') || first.is_ascii_whitespace() || last.is_ascii_whitespace() {
        return None;
    }
    let json = serde_json::from_slice::<Box<RawValue>>(bytes).ok()?;
    (is_verbatim || is_written_so_by_all(json.get())).then_some(json)
}

/// Returns whether whoever reads a value and writes it anew writes it as it stands here: truths, and whole numbers that
/// a float holds. Go orders members and escapes texts, and PostgreSQL, which keeps values as `jsonb`, puts blanks
/// between.
fn is_written_so_by_all(json: &str) -> bool {
    match serde_json::from_str(json) {
        Ok(Value::Bool(_)) => true,
        Ok(Value::Number(number)) => {
            let whole = number.as_i64();
            whole.is_some_and(|whole| whole.unsigned_abs() <= MOST_EXACT && whole.to_string() == json)
        }
        _ => false,
    }
}

/// Returns whether a text takes no more room as JSON than its bytes would: most control characters take six bytes.
fn is_short(text: &str) -> bool {
    let more = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 1,
        ..b' ' => 5,
        _ => 0,
    };
    text.bytes().map(more).sum::<usize>() <= text.len() / 3 + BYTES.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(bytes: &[u8], is_verbatim: bool) -> String {
        let json = encode(bytes, is_verbatim).unwrap();
        assert_eq!(decode(json.get().as_bytes()), bytes, "{json}");
        json.get().to_owned()
    }

    #[test]
    fn json_is_kept_as_json_text_as_text_and_bytes_by_a_name_of_their_own() {
        for (bytes, json) in [
            (&b"{\"b\":1, \"a\":[1.50]}"[..], "{\"b\":1, \"a\":[1.50]}"),
            (b"42", "42"),
            (b"-9223372036854775808", "-9223372036854775808"),
            (b"true", "true"),
            (b"null", "\"null\""),
            (b"hello", "\"hello\""),
            (b"", "\"\""),
            (b"\"quoted\"", "\"\\\"quoted\\\"\""),
            (b" {}", "\" {}\""),
            (b"{}\n", "\"{}\\n\""),
            (b"007", "\"007\""),
            ("grün".as_bytes(), "\"grün\""),
            (b"\xff\x00", "\"data:application/octet-stream;base64,/wA=\""),
        ] {
            assert_eq!(kept(bytes, true), json);
        }
    }

    #[test]
    fn a_text_that_looks_like_bytes_comes_back_as_it_was() {
        let text = format!("{BYTES}/wA=");
        assert_ne!(kept(text.as_bytes(), true), format!("{text:?}"));
        // What another client wrote and is no base64 is a text.
        let other = format!("\"{BYTES}!\"");
        assert_eq!(decode(other.as_bytes()), format!("{BYTES}!").into_bytes());
    }

    #[test]
    fn beside_a_sidecar_only_what_every_store_writes_so_is_kept_as_json() {
        for same in ["9007199254740992", "-1", "true"] {
            assert_eq!(kept(same.as_bytes(), false), same);
        }
        for other in [
            "{\"a\":1}",
            "[1,2]",
            "9007199254740993",
            "1.0",
            "1e3",
            "-0",
            "{\"a\":\"<b>\"}",
            "{\"a\":1,\"a\":2}",
            "[\"\\u0041\"]",
        ] {
            assert!(kept(other.as_bytes(), false).starts_with('"'), "{other}");
        }
    }

    #[test]
    fn any_bytes_come_back_and_take_little_more_room() {
        let mut random = fastrand::Rng::with_seed(7);
        for length in 0..400 {
            let few: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
            let controls = vec![random.u8(..32); length];
            for bytes in [few, controls] {
                for is_verbatim in [true, false] {
                    let json = kept(&bytes, is_verbatim);
                    assert!(json.len() <= bytes.len() * 4 / 3 + 2 * BYTES.len() + 8);
                }
            }
        }
    }
}
