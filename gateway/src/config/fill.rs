//! Replaces `${NAME}` in texts by variables of the environment or of the command line.

use wasmgate_common::{Code, Diagnostic};

/// A text with its variables filled in.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Filled {
    pub(super) text: String,
    /// The names and values of the variables that are in it now.
    pub(super) used: Vec<(String, String)>,
}

/// Fills `${NAME}` and `${NAME:-default}` in a text, the default where the variable is missing or empty. `$${` stands
/// for `${` itself; any other `$` for itself.
///
/// # Errors
/// With each variable that is missing, and each `${` that is no variable.
pub(super) fn fill(text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Filled, Vec<Diagnostic>> {
    let mut filled = Filled::default();
    let mut wrong = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            filled.text += before;
            filled.text += "${";
            rest = from.get(2..).unwrap_or_default();
            continue;
        }
        filled.text += before;
        let inside = from.get(2..).unwrap_or_default();
        let Some((inside, after)) = inside.split_once('}') else {
            wrong.push(malformed("a `${` has no `}`"));
            break;
        };
        rest = after;
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        if !is_name(name) {
            wrong.push(malformed(&format!("`${{{inside}}}` names no variable")));
            continue;
        }
        match (variable(name), default) {
            (Some(value), None) => filled.put(name, value),
            (Some(value), Some(_)) if !value.is_empty() => filled.put(name, value),
            (_, Some(default)) => filled.text += default,
            (None, None) => wrong.push(Diagnostic::new(
                Code::UnknownName,
                format!("the variable {name} is not set"),
                format!(
                    "set it in the environment, give it by --env {name}=… or --env-file, or write ${{{name}:-default}}"
                ),
            )),
        }
    }
    filled.text += rest;
    if wrong.is_empty() {
        Ok(filled)
    } else {
        Err(wrong)
    }
}

impl Filled {
    fn put(&mut self, name: &str, value: String) {
        self.text += &value;
        self.used.push((name.to_owned(), value));
    }
}

/// Names as a shell has them (POSIX, 8.1).
pub(super) fn is_name(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn malformed(message: &str) -> Diagnostic {
    Diagnostic::new(
        Code::InvalidValue,
        message,
        "write ${NAME} or ${NAME:-default}; for the text itself write $${",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Result<String, Vec<String>> {
        let variable = |name: &str| match name {
            "HOST" => Some("example.org".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        fill(text, variable)
            .map(|filled| filled.text)
            .map_err(|wrong| wrong.into_iter().map(|wrong| wrong.message).collect())
    }

    #[test]
    fn variables_are_filled_and_every_other_dollar_stays() {
        for (text, right) in [
            (
                "https://${HOST}:8443/${HOST}",
                "https://example.org:8443/example.org",
            ),
            ("${MISSING:-a:-b}", "a:-b"),
            ("[${EMPTY:-full}][${EMPTY}]", "[full][]"),
            ("${MISSING:-}", ""),
            ("$${HOST} costs $5, $HOST, $", "${HOST} costs $5, $HOST, $"),
            ("$$${HOST}", "$${HOST}"),
        ] {
            assert_eq!(filled(text).as_deref(), Ok(right), "{text}");
        }
    }

    #[test]
    fn what_is_missing_or_malformed_is_told_all_at_once() {
        let wrong = filled("${A} ${B:-b} ${C} ${} ${1X} ${a b} ${").unwrap_err();
        assert_eq!(wrong.len(), 6, "{wrong:?}");
        assert_eq!(wrong.first().unwrap(), "the variable A is not set");
        assert_eq!(wrong.last().unwrap(), "a `${` has no `}`");
    }
}
