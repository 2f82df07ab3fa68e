//! Untrusted JSON, parsed into trees of bounded depth.
//!
//! `serde_json` limits the depth of a text, but parses an object whose only member has the name of its private raw
//! value as the text in this member, and the same within that text: each has the whole depth again, and a few hundred
//! kilobytes of them overflow the stack, which ends the process. Here such an object is an ordinary object.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// A value of any kind, read as it is written.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub(crate) struct Plain(pub(crate) Value);

/// Reads a text.
///
/// # Errors
/// When it is no JSON, or deeper than `serde_json` allows (127 levels).
pub(crate) fn from_slice(text: &[u8]) -> serde_json::Result<Value> {
    serde_json::from_slice(text).map(|Plain(value)| value)
}

/// A field that may be anything, for `deserialize_with`.
pub(crate) fn any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    Plain::deserialize(deserializer).map(|Plain(value)| value)
}

/// A field that is an object, or null for an empty one, for `deserialize_with`.
pub(crate) fn object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Map<String, Value>, D::Error> {
    some_object(deserializer).map(Option::unwrap_or_default)
}

/// A field that is an object or null, for `deserialize_with`.
pub(crate) fn some_object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Map<String, Value>>, D::Error> {
    match any(deserializer)? {
        Value::Null => Ok(None),
        Value::Object(object) => Ok(Some(object)),
        _ => Err(serde::de::Error::custom("an object is expected")),
    }
}

/// A field that is its type's default where it is null, for `deserialize_with`; the sidecar takes null so.
pub(crate) fn or_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        any(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Plain(value)) = seq.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, Plain(value))) = map.next_entry()? {
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{state::Query, subscription::Spec};
    use serde_json::json;

    /// Texts within texts: 40,000 levels in 300 kB, of which no text has more than 101 itself.
    fn nested() -> String {
        let mut text = "1".to_owned();
        for _ in 0..400 {
            let inner = text.replace('\\', "\\u005c").replace('"', "\\u0022");
            text = format!(
                r#"{}{{"$serde_json::private::RawValue":"{inner}"}}{}"#,
                "[".repeat(100),
                "]".repeat(100)
            );
        }
        text
    }

    #[test]
    fn texts_within_texts_are_not_read_again() {
        let text = nested();
        let mut value = &from_slice(text.as_bytes()).unwrap();
        while let Value::Array(list) = value {
            value = &list[0];
        }
        assert!(value["$serde_json::private::RawValue"].is_string());
        let query = format!(r#"{{"filter":{{"EQ":{{"a":{text}}}}}}}"#);
        serde_json::from_str::<Query>(&query).unwrap();
        let spec = format!(r#"{{"pubsubname":"p","topic":"t","metadata":{{"a":{text}}}}}"#);
        serde_json::from_str::<Spec>(&spec).unwrap();
    }

    #[test]
    fn values_of_every_kind_are_read_as_they_are_written() {
        let value = json!({"a": [null, true, -1, u64::MAX, 1.5, "ä\n", {}, []], "b": {"c": "d"}});
        assert_eq!(from_slice(value.to_string().as_bytes()).unwrap(), value);
        for wrong in ["", "{", "[1,]", "1 2", &"[".repeat(200)] {
            assert!(from_slice(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
