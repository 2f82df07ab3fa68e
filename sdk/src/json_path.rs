//! Where in a JSON text a reader stopped, in the words of a program: `items[2].price`.
//!
//! serde_json gives line and column. The way there is found again only once something is wrong, so that it costs good
//! requests nothing, in time or in size, which a deserializer that keeps track of it would.

/// The member that ends at, or holds, a place in a JSON text; empty for the whole.
///
/// `line` and `column` are as serde_json counts them: from 1, and of bytes.
pub(crate) fn at(text: &[u8], line: usize, column: usize) -> String {
    let start = text
        .split_inclusive(|byte| *byte == b'\n')
        .take(line.saturating_sub(1))
        .map(<[u8]>::len)
        .sum::<usize>();
    let end = (start + column).min(text.len());
    let mut levels: Vec<Level> = Vec::new();
    let mut rest = text.get(..end).unwrap_or_default();
    while let [byte, after @ ..] = rest {
        rest = after;
        match byte {
            b'{' => levels.push(Level::Member(String::new())),
            b'[' => levels.push(Level::Item(0)),
            // What a bracket at the very end closes is what is wrong.
            b'}' | b']' if !rest.is_empty() => drop(levels.pop()),
            b',' => {
                if let Some(Level::Item(index)) = levels.last_mut() {
                    *index += 1;
                }
            }
            b'"' => {
                let (string, after) = string(rest);
                rest = after;
                let is_name = rest.trim_ascii_start().first() == Some(&b':');
                if let (Some(Level::Member(name)), true) = (levels.last_mut(), is_name) {
                    *name = String::from_utf8_lossy(string).into_owned();
                }
            }
            _ => {}
        }
    }
    path(&levels)
}

/// The same without its last part: what holds it.
pub(crate) fn parent(path: &str) -> &str {
    let end = path.rfind(['.', '[']).unwrap_or(0);
    path.get(..end).unwrap_or_default()
}

enum Level {
    Member(String),
    Item(usize),
}

/// A string without its quotes, escapes as they stand, and what comes after it.
fn string(text: &[u8]) -> (&[u8], &[u8]) {
    let (mut end, mut is_escaped) = (text.len(), false);
    for (place, byte) in text.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => {
                end = place;
                break;
            }
            _ => {}
        }
    }
    let (string, rest) = text.split_at(end);
    (string, rest.get(1..).unwrap_or_default())
}

fn path(levels: &[Level]) -> String {
    let mut path = String::new();
    for level in levels {
        match level {
            // A name has not begun yet.
            Level::Member(name) if name.is_empty() => {}
            Level::Member(name) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(name);
            }
            Level::Item(index) => path.push_str(&format!("[{index}]")),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "only read")]
    struct Order {
        items: Vec<Item>,
        #[serde(default)]
        note: String,
    }

    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "only read")]
    struct Item {
        price: u32,
    }

    fn place(text: &str) -> String {
        let error = serde_json::from_str::<Order>(text).unwrap_err();
        at(text.as_bytes(), error.line(), error.column())
    }

    #[test]
    fn a_value_of_the_wrong_type_is_named_by_its_path() {
        assert_eq!(
            place(r#"{"items": [{"price": 1}, {"price": "a\"},{"}]}"#),
            "items[1].price"
        );
        assert_eq!(place("{\n \"note\": \"x: [\",\n \"items\": 7}"), "items");
        assert_eq!(place(r#"{"items": [], "note": false}"#), "note");
        assert_eq!(place("7"), "");
    }

    #[test]
    fn the_parent_of_a_path_is_all_but_its_last_part() {
        assert_eq!(parent("items[1].price"), "items[1]");
        assert_eq!(parent("items[1]"), "items");
        assert_eq!(parent("items"), "");
    }
}
