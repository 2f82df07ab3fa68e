//! Bodies read as the sidecar reads them, for the embedded runtime and for what is checked before it goes to a sidecar.
//!
//! Two readers, each for any `Deserialize` type. They differ from plain JSON where Dapr does, and whoever checks a body
//! must not read it otherwise than whoever acts on it:
//!
//! - [`go`] is Go's `encoding/json`: names of members count without regard to case (by Unicode's simple folding, so
//!   that `ſ` is an `s` and the Kelvin sign a `k`), the last of several wins, and `null` is as if the member were not
//!   there.
//! - [`proto`] is protobuf's JSON: a name is written in camel case or in snake case, twice is an error, `null` is as if
//!   the member were not there, whole numbers may be texts, and an empty body is an empty message.
//!
//! Members that the type does not know are left out by both.

pub(crate) mod forms;
mod value;

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::error::ApiError;
use value::Value;

/// Whose rules a body is read by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    Go,
    Proto,
}

/// Reads a body of state, transactions, bulk publishing, bindings and queries.
pub(crate) fn go<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    read(body, Dialect::Go)
}

/// Reads a body of locks and jobs.
pub(crate) fn proto<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let body = if body.is_empty() { b"{}" } else { body };
    read(body, Dialect::Proto)
}

/// The longest query, in bytes: each value of a filter takes many times the memory of its text.
const MAX_QUERY: usize = 256 * 1024;

/// The body of a query, if it is not too long.
pub(crate) fn query(body: &[u8]) -> Result<&[u8], ApiError> {
    if body.len() > MAX_QUERY {
        let message = format!("a query is longer than {MAX_QUERY} bytes");
        return Err(ApiError::new(413, "ERR_BODY_TOO_LARGE", message));
    }
    Ok(body)
}

/// Items of one list that is read piece by piece at most: no body has more of them that have a key.
const MAX_PIECES: usize = 400_000;

/// Reads a list by Go's rules, and of its items only where they are: [`go`] reads them when they are needed, since an
/// item takes many times the memory of its text.
pub(crate) fn go_pieces(body: &[u8]) -> Result<Vec<&[u8]>, ApiError> {
    let wrong = |error: serde_json::Error| ApiError::malformed(format!("bad JSON: {error}"));
    let Pieces(pieces) = match serde_json::from_slice::<&RawValue>(body)
        .map_err(wrong)?
        .get()
    {
        "null" => Pieces(Vec::new()),
        list => serde_json::from_str(list).map_err(wrong)?,
    };
    Ok(pieces)
}

struct Pieces<'a>(Vec<&'a [u8]>);

impl<'de> Deserialize<'de> for Pieces<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collector;
        impl<'de> Visitor<'de> for Collector {
            type Value = Pieces<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a sequence")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Pieces<'de>, A::Error> {
                let mut pieces = Vec::new();
                while let Some(item) = items.next_element::<&'de RawValue>()? {
                    if pieces.len() >= MAX_PIECES {
                        return Err(A::Error::custom(format!(
                            "more than {MAX_PIECES} things in one list"
                        )));
                    }
                    pieces.push(item.get().as_bytes());
                }
                Ok(Pieces(pieces))
            }
        }
        deserializer.deserialize_seq(Collector)
    }
}

fn read<T: DeserializeOwned>(body: &[u8], dialect: Dialect) -> Result<T, ApiError> {
    let read =
        serde_json::from_slice::<&RawValue>(body).and_then(|text| T::deserialize(Value::new(text.get(), dialect)));
    read.map_err(|error| ApiError::malformed(format!("bad JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Form {
        key: String,
        resource_id: String,
        count: Option<i32>,
        tags: BTreeMap<String, String>,
        inner: Option<Box<Form>>,
        list: Vec<Form>,
        texts: Vec<String>,
    }

    fn key(key: &str) -> Form {
        Form {
            key: key.to_owned(),
            ..Form::default()
        }
    }

    #[test]
    fn go_reads_names_in_any_case_and_takes_the_last() {
        for text in [
            r#"{"key":"a","Key":"b"}"#,
            r#"{"KEY":"b"}"#,
            r#"{"Key":"a","key":"b","KEY":null}"#,
            r#"{"\u212aey":"b"}"#,
            r#"{"key":"b","Clé":1,"kex":2}"#,
        ] {
            assert_eq!(go::<Form>(text.as_bytes()).unwrap(), key("b"), "{text}");
        }
        let nested = go::<Form>(br#"{"Inner":{"KEY":"i"},"LiST":[{"Key":"l"},null],"Text\u017f":["t",null]}"#);
        let nested = nested.unwrap();
        assert_eq!(*nested.inner.unwrap(), key("i"));
        assert_eq!(nested.list, [key("l"), key("")]);
        assert_eq!(nested.texts, ["t", ""]);
    }

    #[test]
    fn go_takes_no_snake_case_and_no_text_for_a_number() {
        let read: Form = go(br#"{"resource_id":"a","null":1}"#).unwrap();
        assert_eq!(read, Form::default());
        assert_eq!(go::<Form>(b"null").unwrap(), Form::default());
        for wrong in ["", "{", "[]", "{\"count\":\"1\"}", "{\"key\":1}", "{} {}"] {
            assert!(go::<Form>(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn proto_reads_camel_and_snake_case_and_numbers_as_texts() {
        for text in [
            r#"{"resourceId":"r","count":"10"}"#,
            r#"{"resource_id":"r","count":1e1}"#,
            r#"{"resource_id":"r","count":10.0,"tags":null,"ResourceId":"x"}"#,
        ] {
            let read: Form = proto(text.as_bytes()).unwrap();
            assert_eq!(
                (read.resource_id.as_str(), read.count),
                ("r", Some(10)),
                "{text}"
            );
        }
        assert_eq!(proto::<Form>(b"").unwrap(), Form::default());
        for wrong in [
            r#"{"resourceId":"r","resource_id":"s"}"#,
            r#"{"key":"a","key":null}"#,
            r#"{"count":1.5}"#,
            r#"{"count":" 1"}"#,
            "null",
        ] {
            assert!(proto::<Form>(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    /// The reading of Go: each member in turn sets the field whose name it has.
    fn slowly(members: &[(&str, &str)]) -> Form {
        let mut form = Form::default();
        for (name, value) in members {
            let upper: String = name.chars().flat_map(char::to_uppercase).collect();
            let field = match upper.to_lowercase().as_str() {
                "key" => &mut form.key,
                "resourceid" => &mut form.resource_id,
                _ => continue,
            };
            if *value != "null" {
                *field = serde_json::from_str(value).unwrap();
            }
        }
        form
    }

    #[test]
    fn go_reads_as_one_does_who_sets_field_after_field() {
        #[rustfmt::skip]
        const NAMES: [&str; 12] = [
            "key", "Key", "kEY", "\u{212a}ey", "resourceId", "RESOURCEID", "re\u{17f}ourceid", "resource_id", "kex", "", "clé",
            "$serde_json::private::RawValue",
        ];
        const VALUES: [&str; 4] = ["\"a\"", "\"\\u00e4\"", "null", "\"\""];
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..2000 {
            let mut member = || {
                let name = NAMES[random.usize(..NAMES.len())];
                (name, VALUES[random.usize(..VALUES.len())])
            };
            let members: Vec<_> = (0..6).map(|_| member()).collect();
            let written = members
                .iter()
                .map(|(name, value)| format!("\"{name}\" :{value}"));
            let text = format!(" {{{}}} ", written.collect::<Vec<_>>().join(" , "));
            assert_eq!(
                go::<Form>(text.as_bytes()).unwrap(),
                slowly(&members),
                "{text}"
            );
        }
    }

    #[test]
    fn no_body_panics() {
        use forms::{Binding, Claim, Job, Query, Transaction};
        let body = br#"{"key":"a\u00e4","Key":null,"count":1e1,"resource_id":"x","tags":{"a":"b"},"texts":["t",null],
            "inner":{"list":[{"key":"l"},null]},"name":"n","dueTime":"10s","data":{"a":[1]},"expiryInSeconds":"1",
            "failure_policy":{"constant":{"interval":"1s","max_retries":"3"}},"page":{"limit":3},"operations":
            [{"operation":"upsert","request":{"key":"a","value":1,"etag":"1","options":{"concurrency":"first-write"}}}]}"#;
        let mut random = fastrand::Rng::with_seed(9);
        for _ in 0..3000 {
            let mut text = body.to_vec();
            for _ in 0..random.usize(1..6) {
                let (at, from) = (random.usize(..text.len()), random.usize(..text.len()));
                match random.u8(..8) {
                    0 => text.truncate(at.max(1)),
                    1..4 => text[at] = random.u8(..),
                    _ => text.insert(at, text[from]),
                }
            }
            let _ = (go::<Form>(&text), proto::<Form>(&text));
            let _ = (
                go::<Transaction>(&text),
                go::<Query>(&text),
                go::<Binding>(&text),
            );
            let _ = (proto::<Job>(&text), proto::<Claim>(&text));
        }
    }
}
