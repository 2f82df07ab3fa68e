//! The functions and operators of rules.

use chrono::{DateTime, Datelike, Timelike};

use super::{
    syntax::{Function, Operator, Part},
    value::{Budget, Evaluated, Failure, Value, double},
};
use crate::time::{parse_duration, rfc3339};

/// The longest number or time that is written as text.
const MAX_NUMBER: usize = 64;

/// The value of a function of `value` and perhaps `argument`.
pub(super) fn call<'a>(
    function: Function,
    value: &Value<'a>,
    argument: Option<&Value<'_>>,
    budget: &mut Budget,
) -> Evaluated<'a> {
    use Function as F;
    let text = || value.text().ok_or(Failure::Wrong);
    match function {
        F::Size => value.size(budget),
        F::Contains | F::StartsWith | F::EndsWith => {
            let (text, part) = (
                text()?,
                argument.and_then(Value::text).ok_or(Failure::Wrong)?,
            );
            budget.bytes(if function == F::Contains {
                text.len() + part.len()
            } else {
                part.len()
            })?;
            Ok(Value::Bool(match function {
                F::Contains => text.contains(part),
                F::StartsWith => text.starts_with(part),
                _ => text.ends_with(part),
            }))
        }
        F::Dyn => Ok(value.clone()),
        F::ToText if value.text().is_some() => Ok(value.clone()),
        F::ToText => {
            let text = written(value).ok_or(Failure::Wrong)?;
            budget.bytes(text.len())?;
            Ok(Value::Made(text.into()))
        }
        F::ToBool => match (value, value.text()) {
            (Value::Bool(value), _) => Ok(Value::Bool(*value)),
            (_, Some("true" | "True" | "TRUE" | "t" | "1")) => Ok(Value::Bool(true)),
            (_, Some("false" | "False" | "FALSE" | "f" | "0")) => Ok(Value::Bool(false)),
            _ => Err(Failure::Wrong),
        },
        F::ToInt | F::ToUint | F::ToDouble => {
            let text = value.text().map(|text| short(text, budget)).transpose()?;
            number(function, value, text).ok_or(Failure::Wrong)
        }
        F::Timestamp => match value {
            Value::Moment(_) => Ok(value.clone()),
            Value::Int(seconds) => seconds
                .checked_mul(1000)
                .map(Value::Moment)
                .ok_or(Failure::Wrong),
            _ => {
                let text = short(text()?, budget)?;
                let moment = DateTime::parse_from_rfc3339(text).map_err(|_| Failure::Wrong)?;
                Ok(Value::Moment(moment.timestamp_millis()))
            }
        },
        F::Duration => match value {
            Value::Duration(_) => Ok(value.clone()),
            _ => {
                let text = short(text()?, budget)?;
                let (sign, text) = text.strip_prefix('-').map_or((1, text), |text| (-1, text));
                let duration = parse_duration(text).map_err(|_| Failure::Wrong)?;
                let millis = i64::try_from(duration.as_millis()).map_err(|_| Failure::Wrong)?;
                Ok(Value::Duration(sign * millis))
            }
        },
        F::Part(part) => part_of(part, value).map(Value::Int).ok_or(Failure::Wrong),
    }
}

/// `+`: numbers, texts, lists, times.
pub(super) fn add<'a>(left: &Value<'a>, right: &Value<'a>, budget: &mut Budget) -> Evaluated<'a> {
    if let (Some(left), Some(right)) = (left.text(), right.text()) {
        budget.bytes(left.len() + right.len())?;
        return Ok(Value::Made([left, right].concat().into()));
    }
    let is_list = |value: &Value<'_>| {
        matches!(
            value,
            Value::List(_) | Value::Json(serde_json::Value::Array(_))
        )
    };
    if is_list(left) && is_list(right) {
        let (left, right) = (left.elements(budget)?, right.elements(budget)?);
        budget.steps(left.len() + right.len())?;
        return Ok(Value::List(
            left.iter().chain(right.iter()).cloned().collect(),
        ));
    }
    arithmetic(Operator::Add, left, right).ok_or(Failure::Wrong)
}

/// An operator on two numbers of a type, or on times; none if it has no value.
pub(super) fn arithmetic<'a>(operator: Operator, left: &Value<'_>, right: &Value<'_>) -> Option<Value<'a>> {
    use Operator as O;
    use Value as V;
    match (left, right) {
        (V::Int(left), V::Int(right)) => Some(V::Int(match operator {
            O::Add => left.checked_add(*right)?,
            O::Subtract => left.checked_sub(*right)?,
            O::Multiply => left.checked_mul(*right)?,
            O::Divide => left.checked_div(*right)?,
            _ => left.checked_rem(*right)?,
        })),
        (V::Uint(left), V::Uint(right)) => Some(V::Uint(match operator {
            O::Add => left.checked_add(*right)?,
            O::Subtract => left.checked_sub(*right)?,
            O::Multiply => left.checked_mul(*right)?,
            O::Divide => left.checked_div(*right)?,
            _ => left.checked_rem(*right)?,
        })),
        (V::Double(left), V::Double(right)) => Some(V::Double(match operator {
            O::Add => left + right,
            O::Subtract => left - right,
            O::Multiply => left * right,
            O::Divide => left / right,
            _ => return None,
        })),
        (V::Moment(left), V::Duration(right)) if operator == O::Add => left.checked_add(*right).map(V::Moment),
        (V::Duration(left), V::Moment(right)) if operator == O::Add => left.checked_add(*right).map(V::Moment),
        (V::Duration(left), V::Duration(right)) if operator == O::Add => left.checked_add(*right).map(V::Duration),
        (V::Moment(left), V::Duration(right)) if operator == O::Subtract => left.checked_sub(*right).map(V::Moment),
        (V::Moment(left), V::Moment(right)) | (V::Duration(left), V::Duration(right)) if operator == O::Subtract => {
            left.checked_sub(*right).map(V::Duration)
        }
        _ => None,
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range is checked before"
)]
fn number<'a>(function: Function, value: &Value<'_>, text: Option<&str>) -> Option<Value<'a>> {
    /// The first doubles past the integers.
    const PAST_INT: f64 = 9_223_372_036_854_775_808.0;
    const PAST_UINT: f64 = 18_446_744_073_709_551_616.0;
    let text = text.map(str::trim);
    match function {
        Function::ToInt => match value {
            Value::Int(value) => Some(*value),
            Value::Uint(value) => i64::try_from(*value).ok(),
            Value::Double(value) => (*value > -PAST_INT && *value < PAST_INT).then_some(*value as i64),
            Value::Moment(millis) => Some(millis.div_euclid(1000)),
            _ => text?.parse().ok(),
        }
        .map(Value::Int),
        Function::ToUint => match value {
            Value::Uint(value) => Some(*value),
            Value::Int(value) => u64::try_from(*value).ok(),
            Value::Double(value) => (*value >= 0.0 && *value < PAST_UINT).then_some(*value as u64),
            _ => text?.parse().ok(),
        }
        .map(Value::Uint),
        _ => double(value)
            .or_else(|| text?.parse().ok())
            .map(Value::Double),
    }
}

fn written(value: &Value<'_>) -> Option<String> {
    match value {
        Value::Bool(value) => Some(value.to_string()),
        Value::Int(value) => Some(value.to_string()),
        Value::Uint(value) => Some(value.to_string()),
        Value::Double(value) => Some(value.to_string()),
        Value::Moment(millis) => Some(rfc3339(*millis)),
        Value::Duration(millis) if millis % 1000 == 0 => Some(format!("{}s", millis / 1000)),
        Value::Duration(millis) => Some(format!("{}ms", millis)),
        _ => None,
    }
}

fn part_of(part: Part, value: &Value<'_>) -> Option<i64> {
    let millis = match value {
        Value::Duration(millis) => {
            return Some(match part {
                Part::Hours => millis / 3_600_000,
                Part::Minutes => millis / 60_000,
                Part::Seconds => millis / 1000,
                Part::Milliseconds => millis % 1000,
                _ => return None,
            });
        }
        Value::Moment(millis) => *millis,
        _ => return None,
    };
    let at = DateTime::from_timestamp_millis(millis)?;
    Some(match part {
        Part::FullYear => at.year().into(),
        Part::Month => at.month0().into(),
        Part::Date => at.day().into(),
        Part::DayOfMonth => at.day0().into(),
        Part::DayOfWeek => at.weekday().num_days_from_sunday().into(),
        Part::DayOfYear => at.ordinal0().into(),
        Part::Hours => at.hour().into(),
        Part::Minutes => at.minute().into(),
        Part::Seconds => at.second().into(),
        Part::Milliseconds => millis.rem_euclid(1000),
    })
}

/// A text that is to be read as a number or a time, which costs as much as a pattern.
fn short<'t>(text: &'t str, budget: &mut Budget) -> Result<&'t str, Failure> {
    if text.len() > MAX_NUMBER {
        return Err(Failure::Wrong);
    }
    budget.pattern(text.len())?;
    Ok(text)
}
