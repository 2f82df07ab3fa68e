//! One JSON value, deserialized by the rules of a [`Dialect`].

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{
        Error as _, IntoDeserializer, MapAccess, Visitor,
        value::{MapDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
};
use serde_json::{Error, value::RawValue};

use super::Dialect;

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
        for (name, text) in Members::deserialize(&mut self.deserializer())?.0 {
            let Some(field) = fields.iter().find(|field| self.dialect.means(&name, field)) else {
                continue;
            };
            if self.dialect == Dialect::Proto && seen.contains(field) {
                return Err(Error::custom(format!("duplicate field {name:?}")));
            }
            seen.push(field);
            let value = Self::new(text.get(), self.dialect);
            if value.is_null() {
                continue;
            }
            known.retain(|(name, _)| name != field);
            known.push((field, value));
        }
        Ok(known)
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
        let items: Vec<&RawValue> = if self.is_go_null() {
            Vec::new()
        } else {
            Vec::deserialize(&mut self.deserializer())?
        };
        let items = items.iter().map(|item| Self::new(item.get(), self.dialect));
        visitor.visit_seq(SeqDeserializer::new(items))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let members = Members::deserialize(&mut self.deserializer())?
            .0
            .into_iter();
        let members = members.map(|(name, text)| (name, Self::new(text.get(), self.dialect)));
        visitor.visit_map(MapDeserializer::new(members))
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

/// An object's members in their order, as often as they are written.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collector;
        impl<'de> Visitor<'de> for Collector {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collector)
    }
}
