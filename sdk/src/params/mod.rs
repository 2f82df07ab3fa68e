//! Named text values into a type with serde: path parameters, query strings, forms and cookies.

mod error;
mod named;
mod path;
mod text;

use std::borrow::Cow;

use serde::{Deserialize, de::value::MapAccessDeserializer};

use self::{named::Named, path::Path};
use crate::percent;

pub(crate) use self::error::ParamError;

/// A name and a value, decoded.
pub(crate) type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// Reads a struct or a map from named values; numbers and booleans are parsed from the text, and the values of a name
/// that comes more than once make a list.
pub(crate) fn from_pairs<'a, T: Deserialize<'a>>(pairs: impl Iterator<Item = Pair<'a>>) -> Result<T, ParamError> {
    T::deserialize(MapAccessDeserializer::new(Named::new(pairs.collect())))
}

/// Reads the values of a path: a struct or a map by their names, a tuple by their order, and anything else from the
/// only one.
pub(crate) fn from_path<'a, T: Deserialize<'a>>(pairs: impl Iterator<Item = Pair<'a>>) -> Result<T, ParamError> {
    T::deserialize(Path::new(pairs.collect()))
}

/// The names and values of a query string, decoded.
pub(crate) fn query_pairs(query: &str) -> impl Iterator<Item = Pair<'_>> {
    query
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (percent::decode_form(name), percent::decode_form(value))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Order {
        Asc,
        Desc,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Page {
        size: u16,
        #[serde(default)]
        after: Option<String>,
        order: Order,
    }

    fn read(query: &str) -> Result<Page, ParamError> {
        from_pairs(query_pairs(query))
    }

    #[test]
    fn typed_values_are_parsed_and_absent_ones_may_be_optional() {
        let expected = Page {
            size: 20,
            after: Some("a b".into()),
            order: Order::Desc,
        };
        assert_eq!(
            read("size=20&after=a+b&order=desc&unknown=1").unwrap(),
            expected
        );
        assert_eq!(read("order=asc&&size=1").unwrap().after, None);
    }

    #[test]
    fn values_of_the_wrong_type_and_missing_ones_are_named() {
        assert!(
            read("size=-1&order=asc")
                .unwrap_err()
                .to_string()
                .contains("-1")
        );
        assert!(
            read("size=1&order=up")
                .unwrap_err()
                .to_string()
                .contains("up")
        );
        let missing = read("order=asc").unwrap_err();
        assert_eq!(missing.field.as_deref(), Some("size"));
        assert_eq!(
            read("size=x&order=asc").unwrap_err().field.as_deref(),
            Some("size")
        );
    }

    #[test]
    fn a_name_that_comes_again_makes_a_list_and_is_an_error_where_one_is_wanted() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Search {
            #[serde(default)]
            tag: Vec<String>,
            #[serde(default)]
            id: Option<Vec<u8>>,
        }
        let read = |query| from_pairs::<Search>(query_pairs(query));
        let found = read("tag=b&id=1&tag=a").unwrap();
        assert_eq!(
            (found.tag, found.id),
            (vec!["b".to_owned(), "a".to_owned()], Some(vec![1]))
        );
        assert_eq!(read("").unwrap().tag, [""; 0]);
        assert_eq!(read("id=1&id=x").unwrap_err().field.as_deref(), Some("id"));
        let twice = super::from_pairs::<Page>(query_pairs("size=1&size=2&order=asc")).unwrap_err();
        assert_eq!(
            (twice.field.as_deref(), twice.to_string().as_str()),
            (Some("size"), "it is given 2 times")
        );
    }

    #[test]
    fn a_path_is_a_struct_a_tuple_or_its_only_value() {
        let pairs = |values: &'static [(&'static str, &'static str)]| {
            values
                .iter()
                .map(|(name, value)| (Cow::Borrowed(*name), Cow::Borrowed(*value)))
        };
        assert_eq!(from_path::<u32>(pairs(&[("id", "7")])).unwrap(), 7);
        assert_eq!(
            from_path::<(String, u32)>(pairs(&[("a", "x"), ("b", "7")])).unwrap(),
            ("x".to_owned(), 7)
        );
        let error = from_path::<(u8, u8)>(pairs(&[("a", "1"), ("b", "x")])).unwrap_err();
        assert_eq!(error.field.as_deref(), Some("b"));
        assert!(from_path::<u32>(pairs(&[("a", "1"), ("b", "2")])).is_err());
    }
}
