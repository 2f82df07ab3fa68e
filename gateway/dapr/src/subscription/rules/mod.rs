//! Routing rules: CEL expressions over `event`, as in Dapr.
//!
//! Rules come from guests, so they must not hang, exhaust or crash the process. The tree is as shallow as the brackets
//! of the text, which are counted; comprehensions nest at most twice; an evaluation pays for each step and each byte
//! from a fixed budget, which limits its memory too.

mod eval;
mod functions;
mod lex;
mod parse;
mod syntax;
mod value;

use serde_json::Value;

use value::Failure;

/// A path for the events for which an expression is true.
#[derive(Debug)]
pub(crate) struct Rule {
    expression: syntax::Expr,
    /// As it was written, for the log and for the app's metadata.
    pub(crate) text: String,
    pub(crate) path: String,
}

/// A rule that takes too long over an event: where that event goes cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rule {rule:?} takes more than {steps} steps over this event", steps = value::Budget::STEPS)]
pub(crate) struct TooLong {
    rule: String,
}

impl Rule {
    /// Reads and bounds `expression`; the error says what is wrong with it.
    pub(crate) fn new(expression: &str, path: String) -> Result<Self, String> {
        let parsed = parse::parse(expression)?;
        Ok(Self {
            expression: parsed,
            text: expression.to_owned(),
            path,
        })
    }
}

/// A condition over whole numbers that have names, such as the one by which a circuit breaker opens.
#[derive(Debug)]
pub(crate) struct Condition(syntax::Expr);

impl Condition {
    /// Reads and bounds `expression`; the error says what is wrong with it.
    pub(crate) fn new(expression: &str) -> Result<Self, String> {
        parse::parse(expression).map(Self)
    }

    /// Returns whether it is true of `numbers`. It is not where it fails, as over a name that there is not.
    pub(crate) fn holds(&self, numbers: &[(&'static str, i64)]) -> bool {
        let value = eval::Evaluation::over(numbers).value(&self.0);
        value.is_ok_and(|value| value.bool() == Ok(true))
    }
}

/// The first rule that is true of `event`. One that fails, as over a missing field, is not. All rules together have one
/// budget, or an app could give itself more by giving more rules.
pub(crate) fn first_that_holds<'a>(rules: &'a [Rule], event: &'a Value) -> Result<Option<&'a Rule>, TooLong> {
    let mut evaluation = eval::Evaluation::of(event);
    for rule in rules {
        match evaluation.value(&rule.expression) {
            Ok(value) if value.bool() == Ok(true) => return Ok(Some(rule)),
            Ok(_) | Err(Failure::Wrong) => {}
            Err(Failure::TooLong) => {
                let rule = rule.text.chars().take(200).collect();
                return Err(TooLong { rule });
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
