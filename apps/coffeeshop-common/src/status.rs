//! The progress of an order, or of a line of it.

use serde::{Deserialize, Serialize};

/// The progress of an order, or of a line of it; a number on the wire.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum Status {
    /// 0: taken, and paid.
    Placed,
    /// 1: of an order, some lines are made and some are not.
    InProgress,
    /// 2: made.
    Fulfilled,
    /// 3: not made in time, and paid back.
    Refunded,
}

impl Status {
    /// Returns whether nothing will change any more.
    pub fn is_final(self) -> bool {
        match self {
            Status::Placed | Status::InProgress => false,
            Status::Fulfilled | Status::Refunded => true,
        }
    }

    /// Its name, for people and logs.
    pub fn name(self) -> &'static str {
        match self {
            Status::Placed => "PLACED",
            Status::InProgress => "IN_PROGRESS",
            Status::Fulfilled => "FULFILLED",
            Status::Refunded => "REFUNDED",
        }
    }
}

impl From<Status> for u8 {
    fn from(status: Status) -> Self {
        status as u8
    }
}

impl TryFrom<u8> for Status {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        match number {
            0 => Ok(Status::Placed),
            1 => Ok(Status::InProgress),
            2 => Ok(Status::Fulfilled),
            3 => Ok(Status::Refunded),
            _ => Err(format!("{number} is no status; they are 0 to 3")),
        }
    }
}
