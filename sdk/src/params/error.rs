//! What is said of values that do not fit.

use std::fmt;

use serde::de;

/// A reason why the values do not fit the type.
#[derive(Debug)]
pub(crate) struct ParamError {
    /// The name of the value, where it is known.
    pub(crate) field: Option<String>,
    message: String,
}

impl ParamError {
    pub(super) fn new(message: String) -> Self {
        let field = None;
        ParamError { field, message }
    }

    pub(super) fn of(mut self, field: &str) -> Self {
        self.field.get_or_insert_with(|| field.to_owned());
        self
    }
}

impl fmt::Display for ParamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ParamError {}

impl de::Error for ParamError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        ParamError::new(message.to_string())
    }

    fn missing_field(field: &'static str) -> Self {
        ParamError::new("it is missing".to_owned()).of(field)
    }

    fn unknown_field(field: &str, _expected: &'static [&'static str]) -> Self {
        ParamError::new("there is no such name".to_owned()).of(field)
    }
}
