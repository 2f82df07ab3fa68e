//! Where in a JSON text a reader stopped, in the words of a program: `items[2].price`.
//!
//! serde_json gives line and column. The way there is found again only once something is wrong, so that it costs good
//! requests nothing, in time or in size, which a deserializer that keeps track of it would.

/// The member that an error of data is about; empty for the whole.
///
/// serde_json tells the place up to which it had read, and serde by its words whether that is the end of what is wrong,
/// or where it begins.
pub(crate) fn of(text: &[u8], error: &serde_json::Error) -> String {
    let message = error.to_string();
    let missing = message
        .strip_prefix("missing field `")
        .and_then(|rest| rest.split('`').next());
    let begins_there = ["invalid type: map", "invalid type: sequence"]
        .iter()
        .any(|words| message.starts_with(words));
    let read = up_to(text, error.line(), error.column()).trim_ascii_end();
    let mut levels = levels(read, begins_there);
    // These are of the object or list as a whole, and are told at its end.
    if missing.is_some() || (message.starts_with("invalid length") && read.ends_with(b"]")) {
        levels.pop();
    }
    let mut path = path(&levels);
    if let Some(name) = missing {
        push_name(&mut path, name);
    }
    path
}

/// The text before a place as serde_json counts it: lines from 1, and columns in bytes.
fn up_to(text: &[u8], line: usize, column: usize) -> &[u8] {
    let start = text
        .split_inclusive(|byte| *byte == b'\n')
        .take(line.saturating_sub(1))
        .map(<[u8]>::len)
        .sum::<usize>();
    let end = (start + column).min(text.len());
    text.get(..end).unwrap_or_default()
}

/// An object or a list that the text is within.
enum Level {
    /// The last name that was read, and whether the next string is one.
    Members { name: String, is_next: bool },
    /// The place of the item.
    Items(usize),
}

/// The objects and lists that the end of a text is within. What it closes last is still one of them, and a comma there
/// is after what is wrong, unless that begins there.
fn levels(mut text: &[u8], begins_there: bool) -> Vec<Level> {
    let mut levels: Vec<Level> = Vec::new();
    while let [byte, rest @ ..] = text {
        text = rest;
        match (byte, levels.last_mut()) {
            (b'{', _) => levels.push(Level::Members {
                name: String::new(),
                is_next: true,
            }),
            (b'[', _) => levels.push(Level::Items(0)),
            (b'}' | b']', _) if !rest.is_empty() => drop(levels.pop()),
            (b',', Some(Level::Items(index))) if begins_there || !rest.is_empty() => *index += 1,
            (b',', Some(Level::Members { is_next, .. })) => *is_next = true,
            (b'"', level) => {
                let (string, after) = string(rest);
                text = after;
                if let Some(Level::Members { name, is_next }) = level
                    && *is_next
                {
                    *name = String::from_utf8_lossy(string).into_owned();
                    *is_next = false;
                }
            }
            _ => {}
        }
    }
    levels
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
            Level::Members { name, .. } => push_name(&mut path, name),
            Level::Items(index) => path.push_str(&format!("[{index}]")),
        }
    }
    path
}

fn push_name(path: &mut String, name: &str) {
    if !path.is_empty() && !name.is_empty() {
        path.push('.');
    }
    path.push_str(name);
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

    #[derive(Debug, Deserialize)]
    #[serde(try_from = "u8")]
    struct Even;

    impl TryFrom<u8> for Even {
        type Error = &'static str;

        fn try_from(number: u8) -> Result<Self, Self::Error> {
            if number.is_multiple_of(2) {
                Ok(Even)
            } else {
                Err("odd")
            }
        }
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only read")]
    struct Numbers {
        #[serde(default)]
        even: Vec<Even>,
        #[serde(default)]
        small: Vec<u8>,
    }

    fn place<T: serde::de::DeserializeOwned>(text: &str) -> String {
        let error = serde_json::from_str::<T>(text).err().unwrap();
        of(text.as_bytes(), &error)
    }

    #[test]
    fn a_value_of_the_wrong_type_is_named_by_its_path() {
        let place = place::<Order>;
        assert_eq!(
            place(r#"{"items": [{"price": 1}, {"price": "a\"},{"}]}"#),
            "items[1].price"
        );
        assert_eq!(place("{\n \"note\": \"x: [\",\n \"items\": 7}"), "items");
        assert_eq!(place(r#"{"items": [], "note": false}"#), "note");
        assert_eq!(place(r#"{"items": [{"price": 1},[]]}"#), "items[1]");
        assert_eq!(place(r#"{"note": {"items": 1}}"#), "note");
        assert_eq!(place("7"), "");
    }

    #[test]
    fn what_is_too_short_is_named_and_not_what_is_in_it() {
        assert_eq!(place::<Order>("[]"), "");
        assert_eq!(place::<Order>("[[[]]]"), "[0][0]");
        assert_eq!(place::<Order>(r#"{"items": [[]]}"#), "items[0]");
        assert_eq!(place::<(u8, u8)>("[1]"), "");
        assert_eq!(place::<Vec<(u8, u8)>>("[[1,2],[3]]"), "[1]");
    }

    #[test]
    fn what_is_missing_is_named_where_it_would_be() {
        assert_eq!(place::<Order>("{}"), "items");
        assert_eq!(place::<Order>(r#"{"note": "a"}"#), "items");
        assert_eq!(place::<Order>(r#"{"items": [{}]}"#), "items[0].price");
        assert_eq!(place::<Vec<Item>>(r#"[{"price": 1},{}]"#), "[1].price");
        assert_eq!(place::<Vec<Item>>(r#"[{"cost": [1, {}]}]"#), "[0].price");
    }

    #[test]
    fn what_a_type_refuses_by_itself_is_named_in_lists_and_names_that_nobody_knows_too() {
        let place = place::<Numbers>;
        assert_eq!(place(r#"{"even": [2, 3, 4]}"#), "even[1]");
        assert_eq!(place(r#"{"even": [2, 3]}"#), "even[1]");
        assert_eq!(place(r#"{"even":[1,2]}"#), "even[0]");
        assert_eq!(place(r#"{"small": [1, 300, 2]}"#), "small[1]");
        assert_eq!(place(r#"{"small": [1], "odd": []}"#), "odd");
    }
}
