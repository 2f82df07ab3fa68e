//! Evaluates a rule's tree, and charges each step to the budget.

use std::{cmp::Ordering, rc::Rc};

use super::{
    functions,
    syntax::{Each, EachKind, Expr, Literal, Operator, Step},
    value::{Budget, Evaluated, Failure, Value},
};

/// One evaluation.
pub(super) struct Evaluation<'a> {
    /// Variables, the innermost last.
    variables: Vec<(&'a str, Value<'a>)>,
    budget: Budget,
}

impl<'a> Evaluation<'a> {
    pub(super) fn of(event: &'a serde_json::Value) -> Self {
        Self {
            variables: vec![("event", event.into())],
            budget: Budget::new(),
        }
    }

    pub(super) fn over(numbers: &[(&'static str, i64)]) -> Self {
        let numbers = numbers.iter();
        Self {
            variables: numbers
                .map(|(name, number)| (*name, Value::Int(*number)))
                .collect(),
            budget: Budget::new(),
        }
    }

    pub(super) fn value(&mut self, expr: &'a Expr) -> Evaluated<'a> {
        self.budget.step()?;
        match expr {
            Expr::Literal(literal) => Ok(written(literal)),
            Expr::Name(name) => self.variable(name),
            Expr::List(list) => {
                let values: Result<Rc<[_]>, _> = list.iter().map(|one| self.value(one)).collect();
                Ok(Value::List(values?))
            }
            Expr::Map(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, value)| Ok((self.value(key)?, self.value(value)?)));
                Ok(Value::Map(entries.collect::<Result<_, _>>()?))
            }
            Expr::Any(parts) => self.first_that_is(true, parts),
            Expr::All(parts) => self.first_that_is(false, parts),
            Expr::Chain(first, rest) => {
                let mut value = self.value(first)?;
                for (operator, right) in rest {
                    let right = self.value(right)?;
                    value = self.operate(*operator, &value, &right)?;
                }
                Ok(value)
            }
            Expr::Not(inner) => Ok(Value::Bool(!self.value(inner)?.bool()?)),
            Expr::Negate(inner) => match self.value(inner)? {
                Value::Int(value) => value.checked_neg().map(Value::Int).ok_or(Failure::Wrong),
                Value::Double(value) => Ok(Value::Double(-value)),
                _ => Err(Failure::Wrong),
            },
            Expr::If(parts) => {
                let [condition, then, otherwise] = parts.as_ref();
                let branch = if self.value(condition)?.bool()? {
                    then
                } else {
                    otherwise
                };
                self.value(branch)
            }
            Expr::Path(value, steps) => {
                let mut value = self.value(value)?;
                for step in steps {
                    value = self.step(&value, step)?;
                }
                Ok(value)
            }
            Expr::Has(value, field) => {
                let value = self.value(value)?;
                Ok(Value::Bool(value.field(field, &mut self.budget)?.is_some()))
            }
            Expr::Call(function, arguments) => {
                let argument = self.value(arguments.first().ok_or(Failure::Wrong)?)?;
                functions::call(*function, &argument, None, &mut self.budget)
            }
        }
    }

    fn variable(&self, name: &str) -> Evaluated<'a> {
        let found = self
            .variables
            .iter()
            .rev()
            .find(|(known, _)| *known == name);
        found.map(|(_, value)| value.clone()).ok_or(Failure::Wrong)
    }

    /// `||` (`wanted` true) and `&&` (`wanted` false): one part decides, even if another fails.
    fn first_that_is(&mut self, wanted: bool, parts: &'a [Expr]) -> Evaluated<'a> {
        let mut failed = false;
        for part in parts {
            match self.value(part).and_then(|value| value.bool()) {
                Ok(value) if value == wanted => return Ok(Value::Bool(wanted)),
                Ok(_) => {}
                Err(Failure::Wrong) => failed = true,
                Err(Failure::TooLong) => return Err(Failure::TooLong),
            }
        }
        if failed {
            Err(Failure::Wrong)
        } else {
            Ok(Value::Bool(!wanted))
        }
    }

    fn step(&mut self, value: &Value<'a>, step: &'a Step) -> Evaluated<'a> {
        self.budget.step()?;
        match step {
            Step::Field(name) => value.field(name, &mut self.budget)?.ok_or(Failure::Wrong),
            Step::Index(index) => {
                let index = self.value(index)?;
                value.at(&index, &mut self.budget)
            }
            Step::Method(function, arguments) => {
                let argument = arguments.first().map(|one| self.value(one)).transpose()?;
                functions::call(*function, value, argument.as_ref(), &mut self.budget)
            }
            Step::Matches(pattern) => {
                let text = value.text().ok_or(Failure::Wrong)?;
                self.budget.pattern(text.len())?;
                Ok(Value::Bool(pattern.is_match(text)))
            }
            Step::Each(each) => self.each(value, each),
        }
    }

    fn each(&mut self, range: &Value<'a>, each: &'a Each) -> Evaluated<'a> {
        let elements = range.elements(&mut self.budget)?;
        let (mut kept, mut holds, mut failed) = (Vec::new(), 0_usize, false);
        for element in elements.iter() {
            self.variables.push((&each.variable, element.clone()));
            let outcome = self.turn(each);
            self.variables.pop();
            match (each.kind, outcome) {
                (EachKind::Map, Ok(Some(value))) => kept.push(value),
                (EachKind::Map, Ok(None)) => {}
                (EachKind::All | EachKind::Exists, Err(Failure::Wrong)) => failed = true,
                (_, Err(failure)) => return Err(failure),
                (kind, Ok(value)) => {
                    let held = value.ok_or(Failure::Wrong).and_then(|value| value.bool());
                    match (kind, held) {
                        (EachKind::All, Ok(false)) => return Ok(Value::Bool(false)),
                        (EachKind::Exists, Ok(true)) => return Ok(Value::Bool(true)),
                        (EachKind::All | EachKind::Exists, Err(_)) => failed = true,
                        (_, Err(failure)) => return Err(failure),
                        (EachKind::Filter, Ok(true)) => kept.push(element.clone()),
                        (_, Ok(held)) => holds += usize::from(held),
                    }
                }
            }
        }
        match each.kind {
            EachKind::All | EachKind::Exists if failed => Err(Failure::Wrong),
            EachKind::All => Ok(Value::Bool(true)),
            EachKind::Exists => Ok(Value::Bool(false)),
            EachKind::ExistsOne => Ok(Value::Bool(holds == 1)),
            EachKind::Filter | EachKind::Map => Ok(Value::List(kept.into())),
        }
    }

    /// The value that the body makes of one element; none if the filter leaves it out.
    fn turn(&mut self, each: &'a Each) -> Result<Option<Value<'a>>, Failure> {
        if let Some(filter) = &each.filter
            && !self.value(filter)?.bool()?
        {
            return Ok(None);
        }
        self.value(&each.body).map(Some)
    }

    fn operate(&mut self, operator: Operator, left: &Value<'a>, right: &Value<'a>) -> Evaluated<'a> {
        use Operator as O;
        let budget = &mut self.budget;
        budget.step()?;
        let ordered = |fits: fn(Ordering) -> bool, budget: &mut Budget| {
            let order = left.order(right, budget)?;
            Ok(Value::Bool(order.is_some_and(fits)))
        };
        match operator {
            O::Equal => Ok(Value::Bool(left.equals(right, budget)?)),
            O::NotEqual => Ok(Value::Bool(!left.equals(right, budget)?)),
            O::Less => ordered(Ordering::is_lt, budget),
            O::LessOrEqual => ordered(Ordering::is_le, budget),
            O::Greater => ordered(Ordering::is_gt, budget),
            O::GreaterOrEqual => ordered(Ordering::is_ge, budget),
            O::In => Ok(Value::Bool(left.is_in(right, budget)?)),
            O::Add => functions::add(left, right, budget),
            _ => functions::arithmetic(operator, left, right).ok_or(Failure::Wrong),
        }
    }
}

fn written(literal: &Literal) -> Value<'_> {
    match literal {
        Literal::Null => Value::Null,
        Literal::Bool(value) => Value::Bool(*value),
        Literal::Int(value) => Value::Int(*value),
        Literal::Uint(value) => Value::Uint(*value),
        Literal::Double(value) => Value::Double(*value),
        Literal::Text(text) => Value::Text(text),
    }
}
