//! Routing rules: CEL expressions over `event`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use cel::{Context, Program, Value as CelValue};
use serde_json::Value;

/// Where events go for which an expression is true.
#[derive(Debug)]
pub(crate) struct Rule {
    program: Program,
    pub(crate) path: String,
}

/// The longest expression: the parser recurses, so its depth must stay bounded.
const MAX_EXPRESSION: usize = 4096;

impl Rule {
    pub(crate) fn new(expression: &str, path: String) -> Result<Self, String> {
        if expression.len() > MAX_EXPRESSION {
            return Err(format!("it is longer than {MAX_EXPRESSION} bytes"));
        }
        // The parser is generated code that has been known to panic on odd input.
        match catch_unwind(|| Program::compile(expression)) {
            Ok(Ok(program)) => Ok(Self { program, path }),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the parser gave up on it".to_owned()),
        }
    }

    /// Whether the rule is true of `event`; an expression that fails, as over a missing field, is
    /// not.
    pub(crate) fn holds(&self, event: &Value) -> bool {
        let evaluate = || {
            let mut context = Context::default();
            context.add_variable("event", event).ok()?;
            self.program.execute(&context).ok()
        };
        matches!(
            catch_unwind(AssertUnwindSafe(evaluate)),
            Ok(Some(CelValue::Bool(true)))
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn holds(expression: &str) -> bool {
        let event = json!({"type": "order.new", "data": {"total": 12, "tags": ["a"]}});
        Rule::new(expression, "/x".into()).unwrap().holds(&event)
    }

    #[test]
    fn rules_see_the_event() {
        assert!(holds(r#"event.type == "order.new""#));
        assert!(holds("event.data.total > 10"));
        assert!(holds(r#""a" in event.data.tags"#));
        assert!(!holds(r#"event.type == "order.old""#));
    }

    #[test]
    fn a_missing_field_is_no_match() {
        assert!(!holds("event.data.missing.deep == 1"));
        assert!(!holds(r#"event.type"#));
    }

    #[test]
    fn what_does_not_parse_is_refused() {
        for wrong in ["event.type ==", "((", "event..x", "'"] {
            assert!(Rule::new(wrong, "/x".into()).is_err(), "{wrong}");
        }
    }
}
