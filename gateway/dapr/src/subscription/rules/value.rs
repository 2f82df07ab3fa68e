//! Values of an evaluation, and its budget.

use std::{cmp::Ordering, rc::Rc};

use serde_json::Value as Json;

/// The reason for which an expression has no value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It is wrong for this event, as with a missing field or a text in the place of a number.
    Wrong,
    /// It takes more than [`Budget::STEPS`]; nothing in the expression can mend this.
    TooLong,
}

pub(super) type Evaluated<'a> = Result<Value<'a>, Failure>;

/// The rest of the work that one evaluation may do.
pub(super) struct Budget(u32);

impl Budget {
    /// The steps of one evaluation: an operator, a field, or [`Self::BYTES_PER_STEP`] that are compared,
    /// searched, copied or made. A few milliseconds; since making a value is paid for too, this
    /// bounds the memory of an evaluation, at some megabytes.
    pub(super) const STEPS: u32 = 100_000;

    const BYTES_PER_STEP: usize = 32;

    /// A pattern may cost some hundred times as much for a byte as a search for a text.
    const PATTERN_BYTES_PER_STEP: usize = 2;

    pub(super) fn new() -> Self {
        Self(Self::STEPS)
    }

    pub(super) fn step(&mut self) -> Result<(), Failure> {
        self.steps(1)
    }

    pub(super) fn bytes(&mut self, bytes: usize) -> Result<(), Failure> {
        self.steps(1 + bytes / Self::BYTES_PER_STEP)
    }

    pub(super) fn pattern(&mut self, bytes: usize) -> Result<(), Failure> {
        self.steps(1 + bytes / Self::PATTERN_BYTES_PER_STEP)
    }

    pub(super) fn steps(&mut self, steps: usize) -> Result<(), Failure> {
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        match self.0.checked_sub(steps) {
            Some(left) => {
                self.0 = left;
                Ok(())
            }
            None => {
                self.0 = 0;
                Err(Failure::TooLong)
            }
        }
    }
}

/// A value; what is large is borrowed or shared.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    /// A list or an object of the event.
    Json(&'a Json),
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(&'a str),
    Made(Rc<str>),
    List(Rc<[Value<'a>]>),
    Map(Rc<[(Value<'a>, Value<'a>)]>),
    /// Milliseconds since 1970.
    Moment(i64),
    /// Milliseconds.
    Duration(i64),
}

impl<'a> From<&'a Json> for Value<'a> {
    fn from(json: &'a Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(*value),
            Json::String(text) => Self::Text(text),
            Json::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(value), _) => Self::Int(value),
                (None, Some(value)) => Self::Uint(value),
                (None, None) => Self::Double(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::Array(_) | Json::Object(_) => Self::Json(json),
        }
    }
}

impl<'a> Value<'a> {
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Made(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn bool(&self) -> Result<bool, Failure> {
        match self {
            Self::Bool(value) => Ok(*value),
            _ => Err(Failure::Wrong),
        }
    }

    /// The field or key `name`.
    pub(super) fn field(&self, name: &str, budget: &mut Budget) -> Result<Option<Self>, Failure> {
        budget.bytes(name.len())?;
        match self {
            Self::Json(Json::Object(object)) => Ok(object.get(name).map(Self::from)),
            Self::Map(_) => self.entry(&Value::Made(name.into()), budget),
            _ => Err(Failure::Wrong),
        }
    }

    /// The value at an index of a list, or of a key of a map.
    pub(super) fn at(&self, key: &Value<'a>, budget: &mut Budget) -> Evaluated<'a> {
        let index = || match key {
            Value::Int(index) => usize::try_from(*index).map_err(|_| Failure::Wrong),
            Value::Uint(index) => usize::try_from(*index).map_err(|_| Failure::Wrong),
            _ => Err(Failure::Wrong),
        };
        budget.step()?;
        let found = match self {
            Self::Json(Json::Array(list)) => list.get(index()?).map(Value::from),
            Self::List(list) => list.get(index()?).cloned(),
            Self::Json(Json::Object(_)) => self.field(key.text().ok_or(Failure::Wrong)?, budget)?,
            Self::Map(_) => self.entry(key, budget)?,
            _ => None,
        };
        found.ok_or(Failure::Wrong)
    }

    fn entry(&self, key: &Value<'_>, budget: &mut Budget) -> Result<Option<Self>, Failure> {
        let Self::Map(entries) = self else {
            return Err(Failure::Wrong);
        };
        for (known, value) in entries.iter() {
            if known.equals(key, budget)? {
                return Ok(Some(value.clone()));
            }
        }
        Ok(None)
    }

    /// Returns true if `self` is an element of the list or a key of the map.
    pub(super) fn is_in(&self, whole: &Value<'_>, budget: &mut Budget) -> Result<bool, Failure> {
        match (whole, self.text()) {
            (Value::Json(Json::Object(object)), text) => {
                budget.bytes(text.map_or(0, str::len))?;
                Ok(text.is_some_and(|key| object.contains_key(key)))
            }
            (whole, _) => {
                for one in whole.elements(budget)?.iter() {
                    if self.equals(one, budget)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    /// The elements of a list, or the keys of a map.
    pub(super) fn elements(&self, budget: &mut Budget) -> Result<Rc<[Self]>, Failure> {
        match self {
            Self::List(list) => Ok(list.clone()),
            Self::Json(Json::Array(list)) => {
                budget.steps(list.len())?;
                Ok(list.iter().map(Value::from).collect())
            }
            Self::Json(Json::Object(object)) => {
                budget.steps(object.len())?;
                Ok(object.keys().map(|key| Value::Text(key)).collect())
            }
            Self::Map(entries) => {
                budget.steps(entries.len())?;
                Ok(entries.iter().map(|(key, _)| key.clone()).collect())
            }
            _ => Err(Failure::Wrong),
        }
    }

    pub(super) fn size(&self, budget: &mut Budget) -> Evaluated<'a> {
        let size = match self {
            Self::Json(Json::Array(list)) => list.len(),
            Self::Json(Json::Object(object)) => object.len(),
            Self::List(list) => list.len(),
            Self::Map(entries) => entries.len(),
            _ => {
                let text = self.text().ok_or(Failure::Wrong)?;
                budget.bytes(text.len())?;
                text.chars().count()
            }
        };
        i64::try_from(size)
            .map(Value::Int)
            .map_err(|_| Failure::Wrong)
    }

    /// Equality as CEL has it: numbers by their value, other types only with their own.
    pub(super) fn equals(&self, other: &Value<'_>, budget: &mut Budget) -> Result<bool, Failure> {
        budget.step()?;
        if let (Some(one), Some(other)) = (self.text(), other.text()) {
            if one.len() != other.len() {
                return Ok(false);
            }
            budget.bytes(one.len())?;
            return Ok(one == other);
        }
        Ok(match (self, other) {
            (Self::Null, Value::Null) => true,
            (Self::Bool(one), Value::Bool(other)) => one == other,
            (Self::Moment(one), Value::Moment(other)) | (Self::Duration(one), Value::Duration(other)) => one == other,
            (Self::Json(Json::Object(_)) | Self::Map(_), Value::Json(Json::Object(_)) | Value::Map(_)) => {
                return self.same_entries(other, budget);
            }
            (Self::Json(_) | Self::List(_) | Self::Map(_), Value::Json(_) | Value::List(_) | Value::Map(_)) => {
                if self.size(budget)?.number() != other.size(budget)?.number() || self.is_map() != other.is_map() {
                    return Ok(false);
                }
                let (one, other) = (self.elements(budget)?, other.elements(budget)?);
                for (one, other) in one.iter().zip(other.iter()) {
                    if !one.equals(other, budget)? {
                        return Ok(false);
                    }
                }
                true
            }
            (one, other) => compare_numbers(one, other) == Some(Ordering::Equal),
        })
    }

    fn same_entries(&self, other: &Value<'_>, budget: &mut Budget) -> Result<bool, Failure> {
        let (one, others) = (self.elements(budget)?, other.elements(budget)?);
        if one.len() != others.len() {
            return Ok(false);
        }
        for key in one.iter() {
            let value = self.at(key, budget)?;
            let same = match other {
                Value::Map(_) => other.entry(key, budget)?,
                _ => key
                    .text()
                    .map(|key| other.field(key, budget))
                    .transpose()?
                    .flatten(),
            };
            match same {
                Some(same) if value.equals(&same, budget)? => {}
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    fn is_map(&self) -> bool {
        matches!(self, Self::Map(_) | Self::Json(Json::Object(_)))
    }

    fn number(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// The order of two values of a kind; none if one of them is no number.
    pub(super) fn order(&self, other: &Value<'_>, budget: &mut Budget) -> Result<Option<Ordering>, Failure> {
        if let (Some(one), Some(other)) = (self.text(), other.text()) {
            budget.bytes(one.len().min(other.len()))?;
            return Ok(Some(one.cmp(other)));
        }
        match (self, other) {
            (Self::Bool(one), Value::Bool(other)) => Ok(Some(one.cmp(other))),
            (Self::Moment(one), Value::Moment(other)) | (Self::Duration(one), Value::Duration(other)) => {
                Ok(Some(one.cmp(other)))
            }
            (one, other) if one.is_number() && other.is_number() => Ok(compare_numbers(one, other)),
            _ => Err(Failure::Wrong),
        }
    }

    fn is_number(&self) -> bool {
        matches!(self, Self::Int(_) | Self::Uint(_) | Self::Double(_))
    }
}

fn compare_numbers(one: &Value<'_>, other: &Value<'_>) -> Option<Ordering> {
    let whole = |value: &Value<'_>| match value {
        Value::Int(value) => Some(i128::from(*value)),
        Value::Uint(value) => Some(i128::from(*value)),
        _ => None,
    };
    match (whole(one), whole(other)) {
        (Some(one), Some(other)) => Some(one.cmp(&other)),
        _ => double(one)?.partial_cmp(&double(other)?),
    }
}

/// A number as a double.
#[allow(
    clippy::cast_precision_loss,
    reason = "a double is the nearest one there is"
)]
pub(super) fn double(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Int(value) => Some(*value as f64),
        Value::Uint(value) => Some(*value as f64),
        Value::Double(value) => Some(*value),
        _ => None,
    }
}
