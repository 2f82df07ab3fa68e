//! The JSON Schema of `wasmgate.toml`, for editors: recorded while the readers read a file that has every key.
//!
//! As long as that file is complete, which a test checks, no key can be missing. Formats within strings are left to
//! `wasmgate check`.

use std::{collections::BTreeMap, path::Path};

use serde_json::{Map, Value, json};

use super::{
    Environment, Input, Text, read,
    reader::{Kind, Notes, Shape},
    tree,
};

/// A configuration with every key commented out, each with a word about it.
const EVERY_KEY: &str = include_str!("../../templates/empty/wasmgate.toml");

/// The values that a text may have, where there are only a few; `${NAME}` is another.
const CHOICES: [(&str, &[&str]); 5] = [
    ("dapr.mode", &["embedded", "sidecar"]),
    ("limits.stack", &["512KiB", "1MiB", "2MiB", "4MiB", "8MiB"]),
    ("package.*.engine", &["auto", "pool", "copy-on-write"]),
    ("package.*.kind", &["http", "cgi"]),
    (
        "route.methods",
        &[
            "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE",
        ],
    ),
];

/// The schema as a text, in the form of draft 7, which editors know.
pub fn schema() -> String {
    let text = every_key();
    let shape = shape(&text);
    let words = words(&text);
    let Value::Object(mut root) = of_key("", &shape, &words) else {
        return String::new();
    };
    root.insert(
        "$schema".to_owned(),
        json!("http://json-schema.org/draft-07/schema#"),
    );
    root.insert("title".to_owned(), json!("wasmgate.toml"));
    let text = serde_json::to_string_pretty(&Value::Object(root));
    text.unwrap_or_default() + "\n"
}

/// The file with every key there, without the `#` before it.
pub(super) fn every_key() -> String {
    let lines = EVERY_KEY.lines().map(|line| match line.strip_prefix('#') {
        Some(key) if key.starts_with(|first: char| first.is_ascii_lowercase() || first == '[') => format!("{key}\n"),
        _ => "\n".to_owned(),
    });
    lines.collect()
}

/// What the readers look for.
pub(super) fn shape(text: &str) -> Shape {
    let file = Path::new("wasmgate.toml");
    let notes = Notes::new([(file, text)]).with_shape();
    let Some(document) = tree(&[Text { file, text }], &notes) else {
        return Shape::new();
    };
    let input = Input::new(file);
    // Its files do not exist, which is not what is asked for.
    let _ = read(&document, &input, &Environment::default(), &notes);
    let shape = notes.take_shape();
    let named: Vec<String> = shape
        .iter()
        .filter(|(_, kind)| **kind == Kind::Named)
        .map(|(key, _)| format!("{key}."))
        .collect();
    let renamed = shape
        .into_iter()
        .map(|(key, kind)| (starred(key, &named), kind));
    let mut shape: Shape = renamed.collect();
    // What a package has of these is read by the same reader as the defaults are; the file shows one key of each.
    for defaults in ["limits.", "dapr.quotas."] {
        let of_all = shape.iter().filter(|(key, _)| key.starts_with(defaults));
        let of_one = of_all.map(|(key, kind)| (format!("package.*.{key}"), kind.clone()));
        let of_one: Shape = of_one.collect();
        shape.extend(of_one);
    }
    shape
}

/// The word about each key: the comment behind it.
fn words(text: &str) -> BTreeMap<String, String> {
    let mut words = BTreeMap::new();
    let mut table = String::new();
    for line in text.lines() {
        let (code, word) = line.split_once("  #").unwrap_or((line, ""));
        let code = code.trim();
        let key = match code.split_once(" = ") {
            Some((key, _)) => format!("{table}.{key}"),
            None if code.starts_with('[') => {
                table = code
                    .trim_matches(['[', ']'])
                    .replacen("package.greeter", "package.*", 1)
                    .replacen("blobstore.images", "blobstore.*", 1)
                    .replacen("registry.host.\"localhost:5000\"", "registry.host.*", 1);
                table.clone()
            }
            None => continue,
        };
        words.insert(key, word.trim().to_owned());
    }
    words
}

/// A key with `*` for a name that whoever writes the file chooses.
fn starred(key: String, named: &[String]) -> String {
    let mut key = key;
    for (at, prefix) in named.iter().enumerate() {
        // One may be within another.
        let prefix = starred(prefix.clone(), named.get(..at).unwrap_or_default());
        if let Some(rest) = key.strip_prefix(prefix.as_str()) {
            let after = rest.split_once('.').map(|(_, after)| format!(".{after}"));
            key = format!("{prefix}*{}", after.unwrap_or_default());
        }
    }
    key
}

fn of_key(key: &str, shape: &Shape, words: &BTreeMap<String, String>) -> Value {
    let mut schema = match shape.get(key) {
        None => Map::new(),
        Some(Kind::Text(example)) => {
            let mut text = text(key);
            text.insert("examples".to_owned(), json!([example]));
            text
        }
        Some(Kind::Flag) => object(json!({"type": "boolean"})),
        Some(Kind::Count(range)) => {
            object(json!({"type": "integer", "minimum": range.start(), "maximum": range.end()}))
        }
        Some(Kind::Texts) => object(json!({"type": "array", "items": text(key)})),
        Some(Kind::Table(keys)) => table(key, keys, shape, words),
        Some(Kind::Tables(keys)) => object(json!({"type": "array", "items": table(key, keys, shape, words)})),
        Some(Kind::Named) => {
            let each = of_key(&format!("{key}.*"), shape, words);
            object(json!({"type": "object", "additionalProperties": each}))
        }
    };
    let written = words.get(key).filter(|word| !word.is_empty());
    if let Some(word) = written.or_else(|| words.get(&general(key))) {
        schema.insert("description".to_owned(), json!(word));
    }
    Value::Object(schema)
}

fn table(key: &str, keys: &[String], shape: &Shape, words: &BTreeMap<String, String>) -> Map<String, Value> {
    let properties = keys.iter().map(|name| {
        let full = if key.is_empty() {
            name.clone()
        } else {
            format!("{key}.{name}")
        };
        (name.clone(), of_key(&full, shape, words))
    });
    let properties: Map<String, Value> = properties.collect();
    object(json!({"type": "object", "properties": properties, "additionalProperties": false}))
}

fn text(key: &str) -> Map<String, Value> {
    let choices = CHOICES
        .iter()
        .find(|(of, _)| *of == key || *of == general(key));
    object(match choices {
        Some((_, choices)) => json!({"anyOf": [{"enum": choices}, {"type": "string", "pattern": "\\$\\{"}]}),
        None => json!({"type": "string"}),
    })
}

/// The key of the defaults that a package's key stands for.
fn general(key: &str) -> String {
    key.strip_prefix("package.*.")
        .unwrap_or_default()
        .to_owned()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_that_is_read_has_a_type_and_a_word_in_the_schema() {
        let text = every_key();
        let (shape, words) = (shape(&text), words(&text));
        for (table, kind) in &shape {
            let (Kind::Table(keys) | Kind::Tables(keys)) = kind else {
                continue;
            };
            for key in keys {
                let full = format!("{table}.{key}");
                let full = full.trim_start_matches('.');
                assert!(
                    shape.contains_key(full),
                    "{full} is not in gateway/templates/empty/wasmgate.toml: add #{key} = … and a comment"
                );
                let word = words.get(full).or_else(|| words.get(&general(full)));
                let is_table = matches!(shape.get(full), Some(Kind::Named | Kind::Tables(_)));
                assert!(word.is_some() || is_table, "{full} has no word about it");
            }
        }
    }

    #[test]
    fn the_schema_that_is_shipped_is_the_one_of_the_code() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wasmgate.schema.json");
        let shipped = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            shipped == schema(),
            "wasmgate.schema.json is out of date: run `cargo run -p wasmgate -- schema > wasmgate.schema.json`"
        );
    }

    #[test]
    fn each_choice_of_the_schema_is_taken_and_no_other() {
        for (key, choices) in CHOICES {
            assert!(shape(&every_key()).contains_key(key), "{key}");
            for choice in choices.iter().chain([&"other"]) {
                let (table, name) = key
                    .replace('*', "x")
                    .rsplit_once('.')
                    .map(|(t, n)| (t.to_owned(), n.to_owned()))
                    .unwrap();
                let header = if table == "route" {
                    "[[route]]".to_owned()
                } else {
                    format!("[{table}]")
                };
                let value = if name == "methods" {
                    format!("[\"{choice}\"]")
                } else {
                    format!("\"{choice}\"")
                };
                let text = format!("{header}\n{name} = {value}\n");
                let rejected = super::super::parse(
                    text.as_bytes(),
                    Path::new("x.toml"),
                    &Environment::default(),
                );
                let told = rejected
                    .err()
                    .map(|rejected| rejected.to_string())
                    .unwrap_or_default();
                assert_eq!(told.contains(choice), *choice == "other", "{text}: {told}");
            }
        }
    }
}
