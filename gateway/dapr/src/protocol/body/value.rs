//! One JSON value, deserialized by the rules of a [`Dialect`].

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{
        DeserializeSeed, Error as _, IntoDeserializer, MapAccess, SeqAccess, Visitor,
        value::{MapDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
};
use serde_json::{Error, value::RawValue};

use super::Dialect;

/// Things in one list at most: so many operations, keys and events has one call.
const MAX_LIST: usize = 10_000;

/// Members of an object whose names are the caller's own, such as metadata, at most.
const MAX_MEMBERS: usize = 1_000;

/// The text of a JSON value that is known to be well-formed.
#[derive(Clone, Copy)]
pub(super) struct Value<'a> {
    text: &'a str,
    dialect: Dialect,
}

impl<'a> Value<'a> {
    pub(super) fn new(text: &'a str, dialect: Dialect) -> Self {
        Self { text, dialect }
    }

    fn deserializer(self) -> serde_json::Deserializer<serde_json::de::StrRead<'a>> {
        serde_json::Deserializer::from_str(self.text)
    }

    fn is_null(self) -> bool {
        self.text == "null"
    }

    fn is_go_null(self) -> bool {
        self.is_null() && self.dialect == Dialect::Go
    }

    /// The members of an object that are among `fields`, by the names that these have.
    fn members(self, fields: &'static [&'static str]) -> Result<Vec<(&'static str, Self)>, Error> {
        let mut known: Vec<(&'static str, Self)> = Vec::new();
        let mut seen: Vec<&'static str> = Vec::new();
        self.each_member(|name, value| {
            let Some(field) = fields.iter().find(|field| self.dialect.means(&name, field)) else {
                return Ok(());
            };
            if !seen.contains(field) {
                seen.push(field);
            } else if self.dialect == Dialect::Proto {
                return Err(Error::custom(format!("duplicate field {name:?}")));
            }
            if !value.is_null() {
                known.retain(|(name, _)| name != field);
                known.push((field, value));
            }
            Ok(())
        })?;
        Ok(known)
    }

    /// Hands over the members of an object one by one, in their order and as often as they are written; none is kept.
    fn each_member(self, take: impl FnMut(Cow<'a, str>, Self) -> Result<(), Error>) -> Result<(), Error> {
        let dialect = self.dialect;
        self.deserializer()
            .deserialize_map(Members { dialect, take })
    }

    /// A whole number in any form that protobuf's JSON allows.
    fn whole_number(self) -> Result<i64, Error> {
        let text = match self.text.starts_with('"') {
            true => serde_json::from_str::<String>(self.text)?,
            false => self.text.to_owned(),
        };
        if let Ok(number) = text.parse::<i64>() {
            return Ok(number);
        }
        // Digits of their own are read as JSON: no blanks, no leading zeros, no infinity.
        let number: f64 = serde_json::from_str::<&RawValue>(&text)
            .ok()
            .filter(|raw| raw.get() == text)
            .and_then(|raw| raw.get().parse().ok())
            .ok_or_else(|| Error::custom(format!("{text:?} is no number")))?;
        let is_whole = number.fract() == 0.0 && number.abs() < 2_f64.powi(53);
        // Exact: whole, and within what a float counts one by one.
        #[expect(clippy::cast_possible_truncation, reason = "checked the line before")]
        is_whole
            .then_some(number as i64)
            .ok_or_else(|| Error::custom(format!("{text:?} is no whole number")))
    }
}

impl Dialect {
    /// Returns true if a member written as `name` is `field`.
    fn means(self, name: &str, field: &str) -> bool {
        match self {
            Self::Go => folded(name).eq(folded(field)),
            Self::Proto => name == field || name == snake_case(field),
        }
    }
}

/// The characters without regard to case, where one side is ASCII.
fn folded(name: &str) -> impl Iterator<Item = char> {
    name.chars().map(|c| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    })
}

fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 2);
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

macro_rules! whole_numbers {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self.dialect {
                Dialect::Go => self.deserializer().$method(visitor),
                Dialect::Proto => visitor.visit_i64(self.whole_number()?),
            }
        })*
    };
}

impl<'de> Deserializer<'de> for Value<'de> {
    type Error = Error;

    whole_numbers! { deserialize_i32 deserialize_u32 deserialize_i64 deserialize_u64 }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserializer().deserialize_any(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_go_null() {
            return visitor.visit_borrowed_str("");
        }
        self.deserializer().deserialize_str(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_null() {
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    /// Also `RawValue`, which is one by name.
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Error> {
        self.deserializer()
            .deserialize_newtype_struct(name, visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_go_null() {
            return visitor.visit_seq(SeqDeserializer::new(std::iter::empty::<Self>()));
        }
        let dialect = self.dialect;
        self.deserializer()
            .deserialize_seq(List { dialect, visitor })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let mut members = Vec::new();
        self.each_member(|name, value| {
            if members.len() >= MAX_MEMBERS {
                return Err(Error::custom(format!(
                    "more than {MAX_MEMBERS} members of an object"
                )));
            }
            members.push((name, value));
            Ok(())
        })?;
        visitor.visit_map(MapDeserializer::new(members.into_iter()))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let members = if self.is_go_null() {
            Vec::new()
        } else {
            self.members(fields)?
        };
        visitor.visit_map(MapDeserializer::new(members.into_iter()))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserializer()
            .deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i128 u8 u16 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct identifier
        ignored_any
    }
}

impl<'de> IntoDeserializer<'de, Error> for Value<'de> {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

/// A list whose items are read one after the other, as the dialect has them: what they are made of is not kept.
struct List<V> {
    dialect: Dialect,
    visitor: V,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for List<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_seq(Items {
            dialect: self.dialect,
            items,
            read: 0,
        })
    }
}

struct Items<A> {
    dialect: Dialect,
    items: A,
    read: usize,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Items<A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, A::Error> {
        let Some(item) = self.items.next_element::<&'de RawValue>()? else {
            return Ok(None);
        };
        self.read += 1;
        if self.read > MAX_LIST {
            return Err(A::Error::custom(format!(
                "more than {MAX_LIST} things in one list"
            )));
        }
        let item = seed.deserialize(Value::new(item.get(), self.dialect));
        item.map(Some).map_err(A::Error::custom)
    }
}

/// An object whose members are handed over one by one.
struct Members<F> {
    dialect: Dialect,
    take: F,
}

impl<'de, F> Visitor<'de> for Members<F>
where
    F: FnMut(Cow<'de, str>, Value<'de>) -> Result<(), Error>,
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some((Name(name), text)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
            (self.take)(name, Value::new(text.get(), self.dialect)).map_err(A::Error::custom)?;
        }
        Ok(())
    }
}

/// The name of a member, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
