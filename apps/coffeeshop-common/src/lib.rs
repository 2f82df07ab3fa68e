//! Messages between the coffee shop's packages, and the code that barista and kitchen share.

mod message;
mod order_id;
mod station;
mod status;

pub use message::{Made, MadeLine, OrderPlaced, OrderUpdated, PlacedLine};
pub use order_id::{OrderId, ParseOrderIdError};
pub use station::{STATIONS, Station};
pub use status::Status;

/// The state store of every package of the shop; each sees only its own keys.
pub const STORE: &str = "statestore";
