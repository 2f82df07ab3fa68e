//! Values by their names: of a query string, a form or cookies.

use std::borrow::Cow;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor, value::SeqDeserializer};

use super::{Pair, ParamError, text::Text};

/// Values by name, those of one name together.
pub(super) struct Named<'a> {
    /// In reverse, to be taken from the end.
    pairs: Vec<Pair<'a>>,
    current: Cow<'a, str>,
}

impl<'a> Named<'a> {
    pub(super) fn new(mut pairs: Vec<Pair<'a>>) -> Self {
        // Stable, so that the values of one name keep their order.
        pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
        pairs.reverse();
        Named {
            pairs,
            current: Cow::Borrowed(""),
        }
    }
}

impl<'de> MapAccess<'de> for Named<'de> {
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
