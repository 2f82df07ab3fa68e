//! Named text values into a type with serde: path parameters and query strings.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize,
    de::{self, Deserializer, EnumAccess, IntoDeserializer, VariantAccess, Visitor, value::MapDeserializer},
    forward_to_deserialize_any,
};

use crate::percent;

/// Reads a struct or a map from named values; numbers and booleans are parsed from the text.
pub(crate) fn from_pairs<'a, T: Deserialize<'a>>(
    pairs: impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)>,
) -> Result<T, ParamError> {
    T::deserialize(MapDeserializer::new(
        pairs.map(|(name, value)| (Text(name), Text(value))),
    ))
}

/// The names and values of a query string, decoded.
pub(crate) fn query_pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
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
pub(crate) struct ParamError(String);

impl fmt::Display for ParamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ParamError {}

impl de::Error for ParamError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        ParamError(message.to_string())
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
                Err(error) => Err(ParamError(format!("`{}`: {error}", self.0))),
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
        assert!(read("order=asc").unwrap_err().to_string().contains("size"));
    }
}
