//! WASI's words for what went wrong, as a person would say them.

use wasip3::http::types::ErrorCode;

/// An error in words, such as `connection refused`.
pub(super) fn words(code: &ErrorCode) -> String {
    if let ErrorCode::InternalError(Some(text)) = code {
        return text.clone();
    }
    // The bindings know the name alone, as they have it in code: `ErrorCode::ConnectionRefused`.
    let name = format!("{code:?}");
    let name = name.rsplit("ErrorCode::").next().unwrap_or_default();
    let mut words = String::new();
    for letter in name.chars().take_while(char::is_ascii_alphanumeric) {
        if letter.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}
