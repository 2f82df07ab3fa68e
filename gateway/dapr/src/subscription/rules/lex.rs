//! The tokens of a rule's expression.

/// A word.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Name(String),
    Int(u64),
    Uint(u64),
    Double(f64),
    Text(String),
    /// An operator or a bracket.
    Sign(&'static str),
}

/// Longer ones first, as `<=` also begins with `<`.
const SIGNS: [&str; 24] = [
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", ".", ",", "(", ")", "[", "]",
    "{", "}",
];

/// The words of `text`, in their order.
pub(super) fn words(text: &str) -> Result<Vec<Token>, String> {
    let (mut rest, mut words) = (text, Vec::new());
    loop {
        rest = rest.trim_start();
        if let Some(comment) = rest.strip_prefix("//") {
            rest = comment.split_once('\n').map_or("", |(_, after)| after);
            continue;
        }
        let Some(first) = rest.chars().next() else {
            return Ok(words);
        };
        let digit_after_dot = || {
            rest.get(1..2)
                .is_some_and(|next| next.as_bytes().iter().all(u8::is_ascii_digit))
        };
        let (word, after) = if let Some(quoted) = quoted(rest) {
            quoted?
        } else if first.is_ascii_digit() || (first == '.' && digit_after_dot()) {
            number(rest)?
        } else if first.is_ascii_alphabetic() || first == '_' {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
            (Token::Name(name.to_owned()), after)
        } else {
            let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
            let sign = sign.ok_or_else(|| format!("{first:?} is no part of an expression"))?;
            (
                Token::Sign(sign),
                rest.get(sign.len()..).unwrap_or_default(),
            )
        };
        words.push(word);
        rest = after;
    }
}

type Word<'a> = Result<(Token, &'a str), String>;

fn number(rest: &str) -> Word<'_> {
    let wrong = |text: &str| format!("{text} is no number, or too large for one");
    if let Some(hex) = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X")) {
        let end = hex
            .find(|c: char| !c.is_ascii_hexdigit())
            .unwrap_or(hex.len());
        let (digits, after) = hex.split_at(end);
        let value = u64::from_str_radix(digits, 16).map_err(|_| wrong(digits))?;
        return Ok(integer(value, after));
    }
    let digits = |from: usize| {
        let tail = rest.get(from..).unwrap_or_default();
        from + tail
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(tail.len())
    };
    let at = |at: usize| rest.as_bytes().get(at).copied().unwrap_or(b' ');
    let mut end = digits(0);
    let mut is_double = false;
    if at(end) == b'.' && at(end + 1).is_ascii_digit() {
        (is_double, end) = (true, digits(end + 1));
    }
    let sign = usize::from(matches!(at(end + 1), b'+' | b'-'));
    if matches!(at(end), b'e' | b'E') && at(end + 1 + sign).is_ascii_digit() {
        (is_double, end) = (true, digits(end + 1 + sign));
    }
    let (text, after) = rest.split_at(end);
    if is_double {
        let value: f64 = text.parse().map_err(|_| wrong(text))?;
        return Ok((Token::Double(value), after));
    }
    let value = text.parse().map_err(|_| wrong(text))?;
    Ok(integer(value, after))
}

fn integer(value: u64, after: &str) -> (Token, &str) {
    match after.strip_prefix(['u', 'U']) {
        Some(after) => (Token::Uint(value), after),
        None => (Token::Int(value), after),
    }
}

/// A text in quotes, if there is one: `'…'`, `"…"`, three quotes for several lines, `r` before for one without escapes.
fn quoted(text: &str) -> Option<Word<'_>> {
    let (raw, rest) = match text.strip_prefix(['r', 'R']) {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if let Some(bytes) = text.strip_prefix(['b', 'B']) {
        return bytes
            .starts_with(['"', '\''])
            .then(|| Err("bytes are not supported in rules; compare texts".to_owned()));
    }
    let quote = ["'''", "\"\"\"", "'", "\""]
        .into_iter()
        .find(|quote| rest.starts_with(quote))?;
    Some(inside(
        rest.get(quote.len()..).unwrap_or_default(),
        quote,
        raw,
    ))
}

fn inside<'a>(text: &'a str, quote: &str, raw: bool) -> Word<'a> {
    let (mut rest, mut value) = (text, String::new());
    loop {
        if let Some(after) = rest.strip_prefix(quote) {
            return Ok((Token::Text(value), after));
        }
        let mut chars = rest.chars();
        match chars.next() {
            None => return Err(format!("a text is not closed; {quote} is missing")),
            Some('\n') if quote.len() == 1 => {
                return Err("a text ends with its line; close it".to_owned());
            }
            Some('\\') if !raw => {
                let (escaped, after) = escape(chars.as_str())?;
                value.push(escaped);
                rest = after;
            }
            Some(c) => {
                value.push(c);
                rest = chars.as_str();
            }
        }
    }
}

fn escape(rest: &str) -> Result<(char, &str), String> {
    let wrong = || "an escape in a text is wrong; write \\n, \\\", \\\\ or \\u00e4".to_owned();
    let mut chars = rest.chars();
    let kind = chars.next().ok_or_else(wrong)?;
    let (digits, radix) = match kind {
        'a' => return Ok(('\u{7}', chars.as_str())),
        'b' => return Ok(('\u{8}', chars.as_str())),
        'f' => return Ok(('\u{c}', chars.as_str())),
        'n' => return Ok(('\n', chars.as_str())),
        'r' => return Ok(('\r', chars.as_str())),
        't' => return Ok(('\t', chars.as_str())),
        'v' => return Ok(('\u{b}', chars.as_str())),
        '\\' | '\'' | '"' | '`' | '?' => return Ok((kind, chars.as_str())),
        'x' | 'X' => (2, 16),
        'u' => (4, 16),
        'U' => (8, 16),
        '0'..='3' => (3, 8),
        _ => return Err(wrong()),
    };
    let from = if radix == 8 { rest } else { chars.as_str() };
    let (code, after) = from.split_at_checked(digits).ok_or_else(wrong)?;
    let code = u32::from_str_radix(code, radix).map_err(|_| wrong())?;
    Ok((char::from_u32(code).ok_or_else(wrong)?, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_apart() {
        let sign = Token::Sign;
        assert_eq!(
            words("a.b>=1.5e3 && -0x1F u'x' // end").unwrap(),
            [
                Token::Name("a".into()),
                sign("."),
                Token::Name("b".into()),
                sign(">="),
                Token::Double(1500.0),
                sign("&&"),
                sign("-"),
                Token::Int(31),
                Token::Name("u".into()),
                Token::Text("x".into()),
            ]
        );
        assert_eq!(
            words("1u .5").unwrap(),
            [Token::Uint(1), Token::Double(0.5)]
        );
    }

    #[test]
    fn texts_are_read_with_their_escapes_or_raw() {
        let text = |source: &str| words(source).map(|words| words[0].clone());
        assert_eq!(
            text(r#""a\"\n\u00e4\x41\101""#),
            Ok(Token::Text("a\"\näAA".into()))
        );
        assert_eq!(text(r"r'a\n'"), Ok(Token::Text(r"a\n".into())));
        assert_eq!(text("'''a\n'b'''"), Ok(Token::Text("a\n'b".into())));
        for wrong in [
            "'",
            "'a\n'",
            r"'\q'",
            r"'\u12'",
            r"'\ud800'",
            "b'x'",
            "#",
            "ä",
            "99999999999999999999",
        ] {
            assert!(text(wrong).is_err(), "{wrong}");
        }
    }
}
