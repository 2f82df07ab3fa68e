//! Named text values into a type with serde: path parameters, query strings, forms and cookies.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize,
    de::{
        self, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
        Visitor,
        value::{MapAccessDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
};

use crate::percent;

/// A name and a value, decoded.
pub(crate) type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// Reads a struct or a map from named values; numbers and booleans are parsed from the text, and the values of a name
/// that comes more than once make a list.
pub(crate) fn from_pairs<'a, T: Deserialize<'a>>(pairs: impl Iterator<Item = Pair<'a>>) -> Result<T, ParamError> {
    T::deserialize(MapAccessDeserializer::new(Groups::new(pairs.collect())))
}

/// Reads the values of a path: a struct or a map by their names, a tuple by their order, and anything else from the
/// only one.
pub(crate) fn from_path<'a, T: Deserialize<'a>>(pairs: impl Iterator<Item = Pair<'a>>) -> Result<T, ParamError> {
    T::deserialize(Path(pairs.collect()))
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

/// A reason why the values do not fit the type.
#[derive(Debug)]
pub(crate) struct ParamError {
    /// The name of the value, where it is known.
    pub(crate) field: Option<String>,
    message: String,
}

impl ParamError {
    fn new(message: String) -> Self {
        let field = None;
        ParamError { field, message }
    }

    fn of(mut self, field: &str) -> Self {
        self.field.get_or_insert_with(|| field.to_owned());
        self
    }
}

impl fmt::Display for ParamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ParamError {}

impl de::Error for ParamError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        ParamError::new(message.to_string())
    }

    fn missing_field(field: &'static str) -> Self {
        ParamError::new("it is missing".to_owned()).of(field)
    }

    fn unknown_field(field: &str, _expected: &'static [&'static str]) -> Self {
        ParamError::new("there is no such name".to_owned()).of(field)
    }
}

/// Values by name, those of one name together.
struct Groups<'a> {
    /// In reverse, to be taken from the end.
    pairs: Vec<Pair<'a>>,
    current: Cow<'a, str>,
}

impl<'a> Groups<'a> {
    fn new(mut pairs: Vec<Pair<'a>>) -> Self {
        // Stable, so that the values of one name keep their order.
        pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
        pairs.reverse();
        Groups {
            pairs,
            current: Cow::Borrowed(""),
        }
    }
}

impl<'de> MapAccess<'de> for Groups<'de> {
    type Error = ParamError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ParamError> {
        let Some((name, _)) = self.pairs.last() else {
            return Ok(None);
        };
        self.current = name.clone();
        seed.deserialize(Text(name.clone())).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ParamError> {
        let mut values = Vec::new();
        while let Some((_, value)) = self.pairs.pop_if(|(name, _)| *name == self.current) {
            values.push(value);
        }
        seed.deserialize(Values(values))
            .map_err(|error| error.of(&self.current))
    }
}

/// The values of one name: a list, or one.
struct Values<'a>(Vec<Cow<'a, str>>);

impl<'a> Values<'a> {
    fn only(mut self) -> Result<Text<'a>, ParamError> {
        match (self.0.pop(), self.0.len()) {
            (Some(value), 0) => Ok(Text(value)),
            (_, others) => Err(ParamError::new(format!("it is given {} times", others + 1))),
        }
    }
}

macro_rules! of_the_only {
    ($($method:ident)*) => { $(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
            self.only()?.$method(visitor)
        }
    )* };
}

impl<'de> Deserializer<'de> for Values<'de> {
    type Error = ParamError;

    of_the_only!(
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8
        deserialize_u16 deserialize_u32 deserialize_u64 deserialize_f32 deserialize_f64 deserialize_char
        deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf deserialize_identifier
        deserialize_unit deserialize_map
    );

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
        visitor.visit_seq(SeqDeserializer::new(self.0.into_iter().map(Text)))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, ParamError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, ParamError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, ParamError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ParamError> {
        self.only()?.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ParamError> {
        self.deserialize_map(visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, ParamError> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
        visitor.visit_unit()
    }
}

/// The values of a path.
struct Path<'a>(Vec<Pair<'a>>);

/// Those of a tuple, each of which is named when it does not fit.
struct InOrder<'a>(std::vec::IntoIter<Pair<'a>>);

impl<'de> SeqAccess<'de> for InOrder<'de> {
    type Error = ParamError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ParamError> {
        let next = self.0.next();
        next.map(|(name, value)| {
            seed.deserialize(Text(value))
                .map_err(|error| error.of(&name))
        })
        .transpose()
    }
}

impl<'a> Path<'a> {
    /// The name and the value of the only parameter.
    fn only(mut self) -> Result<(Cow<'a, str>, Text<'a>), ParamError> {
        match (self.0.pop(), self.0.len()) {
            (Some((name, value)), 0) => Ok((name, Text(value))),
            (_, _) => Err(ParamError::new(
                "the route has not one parameter".to_owned(),
            )),
        }
    }
}

macro_rules! of_the_only_value {
    ($($method:ident)*) => { $(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
            let (name, value) = self.only()?;
            value.$method(visitor).map_err(|error| error.of(&name))
        }
    )* };
}

impl<'de> Deserializer<'de> for Path<'de> {
    type Error = ParamError;

    of_the_only_value!(
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8
        deserialize_u16 deserialize_u32 deserialize_u64 deserialize_f32 deserialize_f64 deserialize_char
        deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf deserialize_identifier
    );

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
        visitor.visit_map(Groups::new(self.0))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
        visitor.visit_seq(InOrder(self.0.into_iter()))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, ParamError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, ParamError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, ParamError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ParamError> {
        let (field, value) = self.only()?;
        value
            .deserialize_enum(name, variants, visitor)
            .map_err(|error| error.of(&field))
    }

    forward_to_deserialize_any! {
        i128 u128 option unit unit_struct map struct ignored_any
    }
}

/// One name or value.
struct Text<'a>(Cow<'a, str>);

impl<'a> IntoDeserializer<'a, ParamError> for Text<'a> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! parse {
    ($($method:ident $visit:ident $type:ty),* $(,)?) => { $(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
            match self.0.parse::<$type>() {
                Ok(value) => visitor.$visit(value),
                Err(error) => Err(ParamError::new(format!("`{}`: {error}", self.0))),
            }
        }
    )* };
}

impl<'de> Deserializer<'de> for Text<'de> {
    type Error = ParamError;

    parse!(
        deserialize_bool visit_bool bool,
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32, deserialize_i64 visit_i64 i64,
        deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64,
        deserialize_f32 visit_f32 f32, deserialize_f64 visit_f64 f64,
        deserialize_char visit_char char,
    );

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
        match self.0 {
            Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
            Cow::Owned(text) => visitor.visit_string(text),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ParamError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ParamError> {
        visitor.visit_enum(self)
    }

    forward_to_deserialize_any! {
        i128 u128 str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}

/// A variant by its name; variants that carry data cannot be written as one text.
impl<'de> EnumAccess<'de> for Text<'de> {
    type Error = ParamError;
    type Variant = UnitOnly;

    fn variant_seed<V: de::DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, UnitOnly), ParamError> {
        Ok((seed.deserialize(self)?, UnitOnly))
    }
}

struct UnitOnly;

impl<'de> VariantAccess<'de> for UnitOnly {
    type Error = ParamError;

    fn unit_variant(self) -> Result<(), ParamError> {
        Ok(())
    }

    fn newtype_variant_seed<T: de::DeserializeSeed<'de>>(self, _seed: T) -> Result<T::Value, ParamError> {
        Err(de::Error::custom("expected a variant without data"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, _v: V) -> Result<V::Value, ParamError> {
        Err(de::Error::custom("expected a variant without data"))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, ParamError> {
        Err(de::Error::custom("expected a variant without data"))
    }
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
