//! The events between counter and stations, and what a station keeps.

use serde::{Deserialize, Serialize};

use crate::{OrderId, Status};

/// From the counter to a station: make these.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderPlaced {
    /// The order.
    pub order_id: OrderId,
    /// Its lines that are the station's.
    pub item_lines: Vec<PlacedLine>,
}

/// One thing to make.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlacedLine {
    /// Unique in its order.
    pub item_line_id: String,
    /// The item's number in the catalogue.
    pub item_type: u32,
    /// Its progress.
    pub item_status: Status,
}

/// From a station to the counter: these are made.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderUpdated {
    /// The order.
    pub order_id: OrderId,
    /// Its lines that are made.
    pub item_lines: Vec<MadeLine>,
}

/// One thing that is made.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MadeLine {
    /// Unique in its order.
    pub item_line_id: String,
    /// The item's number in the catalogue.
    pub item_type: u32,
}

/// An entry in a station's own books, under `{station}-order-{order id}`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Made {
    /// The time of the event, as its publisher dated it (RFC 3339).
    pub ordered_at: Option<String>,
    /// The lines that were made.
    pub item_lines: Vec<MadeLine>,
}
