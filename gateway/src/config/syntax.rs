//! What is wrong with a text that is no TOML, in words for people.

use wasmgate_common::{Code, Diagnostic};

/// How the parser's messages begin about a value that is none, most often a text without its quotes.
const NO_VALUE: [&str; 5] = [
    "invalid float",
    "invalid integer",
    "invalid boolean",
    "invalid datetime",
    "string values must be quoted",
];

/// The mistake that a parser of TOML found.
pub(super) fn mistake(error: &toml::de::Error, text: &str) -> Diagnostic {
    let message = error.message();
    let value = error.span().and_then(|at| value_around(text, at.start));
    if let Some(value) = value.filter(|_| NO_VALUE.iter().any(|known| message.starts_with(known))) {
        let help = match value.to_ascii_lowercase().as_str() {
            flag @ ("true" | "false") => format!("write {flag}"),
            _ => format!("a text stands in quotes: write {value:?}"),
        };
        return Diagnostic::new(
            Code::Syntax,
            format!("{value} is no number, and neither true nor false"),
            help,
        );
    }
    Diagnostic::new(
        Code::Syntax,
        message,
        "correct the TOML (https://toml.io has its rules)",
    )
}

/// The value in the line of a place: what is between `=` and the line's end, or a comment.
fn value_around(text: &str, at: usize) -> Option<&str> {
    let (before, after) = text.split_at_checked(at)?;
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    let end = after.find('\n').map_or(text.len(), |end| at + end);
    let (_, value) = text.get(start..end)?.split_once('=')?;
    let value = value.split('#').next().unwrap_or(value).trim();
    let is_one = !value.is_empty() && !value.contains(['"', '\'', '[', ']', '{', '}', ',', '=']);
    is_one.then_some(value)
}
