//! The values of a path, by their names or by their order.

use std::borrow::Cow;

use serde::{
    de::{DeserializeSeed, Deserializer, SeqAccess, Visitor},
    forward_to_deserialize_any,
};

use super::{Pair, ParamError, named::Named, text::Text};

/// The values of a path.
pub(super) struct Path<'a>(Vec<Pair<'a>>);

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
    /// The values in the order of the path.
    pub(super) fn new(pairs: Vec<Pair<'a>>) -> Self {
        Path(pairs)
    }

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
        visitor.visit_map(Named::new(self.0))
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
