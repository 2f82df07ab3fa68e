//! Names of orders.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An order's id: a UUID, and so always fit to be part of a key, a path or a job's name.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Hash, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct OrderId(Uuid);

/// Text that is no order's id.
#[derive(Clone, Copy, Debug)]
pub struct ParseOrderIdError;

impl OrderId {
    /// A new one; ids made later sort after it.
    pub fn fresh() -> Self {
        OrderId(Uuid::now_v7())
    }

    /// The key of the order in the counter's state.
    pub fn key(&self) -> String {
        format!("order-{self}")
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.as_hyphenated())
    }
}

impl FromStr for OrderId {
    type Err = ParseOrderIdError;

    fn from_str(text: &str) -> Result<Self, ParseOrderIdError> {
        Uuid::parse_str(text)
            .map(OrderId)
            .map_err(|_| ParseOrderIdError)
    }
}

impl TryFrom<String> for OrderId {
    type Error = ParseOrderIdError;

    fn try_from(text: String) -> Result<Self, ParseOrderIdError> {
        text.parse()
    }
}

impl From<OrderId> for String {
    fn from(id: OrderId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for ParseOrderIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an order's id is a UUID")
    }
}

impl std::error::Error for ParseOrderIdError {}
