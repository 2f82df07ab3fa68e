//! Statuses and fields from what a program writes: `http`'s types, or what becomes one.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// A status, or the words for one that is none.
pub(crate) fn status(status: impl TryInto<StatusCode>) -> Result<StatusCode, String> {
    let status = status.try_into().ok();
    status.ok_or_else(|| "the status is none of HTTP's: 100 to 999".to_owned())
}

/// A field, or the words for one that HTTP cannot carry.
pub(crate) fn field(
    name: impl TryInto<HeaderName>,
    value: impl TryInto<HeaderValue>,
) -> Result<(HeaderName, HeaderValue), String> {
    checked(name.try_into().ok(), value.try_into().ok())
}

/// A number as a field's value.
pub(crate) fn number(number: usize) -> HeaderValue {
    // Digits are always a value.
    HeaderValue::try_from(number.to_string()).unwrap_or_else(|_| HeaderValue::from_static("0"))
}

/// The first value of a field, if it is there and is UTF-8.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get(name)
        .and_then(|value| str::from_utf8(value.as_bytes()).ok())
}

fn checked(name: Option<HeaderName>, value: Option<HeaderValue>) -> Result<(HeaderName, HeaderValue), String> {
    match (name, value) {
        (Some(name), Some(value)) => Ok((name, value)),
        (Some(name), None) => Err(format!("the value of `{name}` is none that HTTP can carry")),
        (None, _) => Err("a field's name is none that HTTP can carry".to_owned()),
    }
}
