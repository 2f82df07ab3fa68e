//! What the coffee shop's packages say to each other, and what barista and kitchen have in common.

mod message;
mod order_id;
mod station;
mod status;

pub use message::{Made, MadeLine, OrderPlaced, OrderUpdated, PlacedLine};
pub use order_id::{OrderId, ParseOrderIdError};
pub use station::{STATIONS, Station};
pub use status::Status;

/// Where every package of the shop keeps its state; each sees only its own keys.
pub const STORE: &str = "statestore";
