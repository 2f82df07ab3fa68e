//! Messages for text that is not TOML.

use std::ops::Range;

use wasmgate_common::{Code, Diagnostic};

/// How the parser's messages begin about a value that is none, most often a text without its quotes.
const NO_VALUE: [&str; 12] = [
    "invalid float",
    "invalid mantissa",
    "invalid fraction",
    "invalid exponent",
    "invalid integer",
    "invalid hexadecimal",
    "invalid octal",
    "invalid binary",
    "invalid boolean",
    "invalid date",
    "invalid time",
    "string values must be quoted",
];

/// Signs that no value without quotes holds.
const AROUND: [char; 9] = ['\n', '=', '[', ']', '{', '}', ',', '"', '\''];

/// The mistake that a parser of TOML found.
pub(super) fn mistake(error: &toml::de::Error, text: &str) -> Diagnostic {
    let message = error.message();
    let value = error.span().and_then(|at| value_around(text, at.start));
    let is_no_value = NO_VALUE.iter().any(|known| message.starts_with(known));
    match value.filter(|_| is_no_value) {
        Some("") => Diagnostic::new(
            Code::Syntax,
            "the key has no value",
            "write one, or remove the key",
        ),
        Some(value) => {
            let help = match value.to_ascii_lowercase().as_str() {
                flag @ ("true" | "false") => format!("write {flag}"),
                _ => format!("a text stands in quotes: write {value:?}"),
            };
            let what = format!("{value} is no number, no date, and neither true nor false");
            Diagnostic::new(Code::Syntax, what, help)
        }
        None => {
            let span = error.span().unwrap_or_default();
            in_our_words(message, span, text).unwrap_or_else(|| {
                let message = message
                    .strip_suffix(", expected nothing")
                    .unwrap_or(message);
                Diagnostic::new(
                    Code::Syntax,
                    message,
                    "correct the TOML (https://toml.io has its rules)",
                )
            })
        }
    }
}

/// What strangers to TOML write, in words that say what to do; none of other mistakes.
fn in_our_words(message: &str, at: Range<usize>, text: &str) -> Option<Diagnostic> {
    let told = |wrong: String, help: &str| Some(Diagnostic::new(Code::Syntax, wrong, help));
    if message.contains("recursion limit") || message.contains("recursion depth") {
        return told(
            "lists, tables or dotted keys are within each other too deep".to_owned(),
            "write them flatter: no key here is more than a few tables deep",
        );
    }
    if message == "duplicate key" {
        let key = text.get(at).filter(|key| !key.is_empty())?;
        return told(
            format!("{key} is there already"),
            "keep one of the two, or join them",
        );
    }
    let is_key = message.starts_with("invalid unquoted key") || message.starts_with("key with no value");
    let start = text
        .get(..at.start)?
        .rfind('\n')
        .map_or(0, |before| before + 1);
    let line = text.get(start..)?.lines().next()?;
    let (key, value) = line.split_once(':').filter(|_| is_key)?;
    let (key, value) = (key.trim(), value.trim());
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let help = match value {
        "" => format!("write [{key}] above the keys of a table"),
        value => format!("write {key} = {value}"),
    };
    let wrong = "a colon stands where TOML has `=`".to_owned();
    key.chars()
        .all(is_plain)
        .then(|| Diagnostic::new(Code::Syntax, wrong, help))
}

/// The value in the line of a place, or the item of a list there: what stands between `=`, commas, brackets, the line's
/// end and a comment. None where something of another kind is next to it.
fn value_around(text: &str, at: usize) -> Option<&str> {
    let (before, after) = text.split_at_checked(at)?;
    let start = before.rfind(AROUND).map_or(0, |found| found + 1);
    let end = after.find(AROUND).map_or(text.len(), |found| at + found);
    let (sign, next) = (
        text.get(..start)?.chars().next_back(),
        text.get(end..)?.chars().next(),
    );
    let value = text.get(start..end)?;
    let value = value.split('#').next().unwrap_or(value).trim();
    let is_one = matches!(sign, Some('=' | '[' | ',')) && !matches!(next, Some('=' | '"' | '\'' | '{' | '['));
    is_one.then_some(value)
}

#[cfg(test)]
mod tests {
    use toml::de::DeTable;

    use super::*;

    /// The mistakes in a text, each as what is wrong and what to write.
    fn told(text: &str) -> Vec<(String, String)> {
        let (_, errors) = DeTable::parse_recoverable(text);
        let mistakes = errors.iter().map(|error| mistake(error, text));
        mistakes
            .map(|mistake| (mistake.message, mistake.help))
            .collect()
    }

    #[test]
    fn a_text_without_quotes_is_told_wherever_it_stands() {
        for (text, word) in [
            ("a = 3.x", "3.x"),
            ("a = 1e # one", "1e"),
            ("a = [10.0.0.0/8]", "10.0.0.0/8"),
            ("a = [ \"x\", GET ]", "GET"),
            ("a = { b = 1.2.3 }", "1.2.3"),
            ("a = 127.0.0.1:80\nb = 1", "127.0.0.1:80"),
            ("a = ./b.wasm", "./b.wasm"),
            ("a = 2024-99-99", "2024-99-99"),
        ] {
            let told = told(text);
            assert!(!told.is_empty(), "{text}");
            for (message, help) in told {
                assert!(
                    message.starts_with(&format!("{word} is no number")),
                    "{text}: {message}"
                );
                assert_eq!(
                    help,
                    format!("a text stands in quotes: write {word:?}"),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn what_strangers_to_toml_write_is_told_with_what_to_do() {
        for (text, wrong, help) in [
            (
                "[server]\n  workers: 2",
                "a colon stands where TOML has `=`",
                "write workers = 2",
            ),
            (
                "server:\n",
                "a colon stands where TOML has `=`",
                "write [server] above the keys of a table",
            ),
            (
                "a = 1\na = 2",
                "a is there already",
                "keep one of the two, or join them",
            ),
            (
                &format!("{} = 1", ["a"; 1000].join(".")),
                "lists, tables",
                "write them flatter",
            ),
            (
                &format!("a = {}{}", "[".repeat(1000), "]".repeat(1000)),
                "lists, tables",
                "write them flatter",
            ),
        ] {
            let told = told(text);
            assert!(
                told.iter()
                    .all(|(told, remedy)| told.starts_with(wrong) && remedy.starts_with(help)),
                "{text:.60}: {told:?}"
            );
            assert!(!told.is_empty());
        }
    }

    #[test]
    fn no_word_of_the_parser_s_own_is_told_for_a_value() {
        for text in [
            "a =",
            "a = \nb = 1",
            "a = TRUE",
            "a = 1__0",
            "a = [1, , 2]",
            "a = +",
            "a = 0x",
            "a = 1 b = 2",
        ] {
            for (message, _) in told(text) {
                for word in ["expected nothing", "float", "literal string"] {
                    assert!(
                        !message.contains(word) || text == "a = 1 b = 2",
                        "{text}: {message}"
                    );
                }
            }
        }
    }
}
