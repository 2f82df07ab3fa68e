//! An order, and how it changes.

use std::time::{Duration, SystemTime};

use coffeeshop_common::{MadeLine, OrderId, OrderPlaced, PlacedLine, Station, Status};
use serde::{Deserialize, Serialize};

use crate::{catalogue::Item, placing::PlaceOrder};

/// An order, as it is stored and as clients see it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Order {
    pub(crate) id: OrderId,
    order_source: u8,
    loyalty_member_id: Option<String>,
    pub(crate) order_status: Status,
    location: u8,
    item_lines: Vec<Line>,
    /// In dollars.
    total: f64,
    /// RFC 3339.
    placed_at: String,
    /// The time of the last change of status (RFC 3339).
    updated_at: String,
}

/// One item of an order, with the name and the price it had.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Line {
    /// Unique in its order.
    item_line_id: String,
    item_type: u32,
    name: String,
    /// In dollars.
    price: f64,
    item_status: Status,
}

impl Line {
    /// The order's line number `index`.
    pub(crate) fn new(index: usize, item: &Item) -> Self {
        Line {
            item_line_id: format!("line-{}", index + 1),
            item_type: item.item_type,
            name: item.name.clone(),
            price: item.price,
            item_status: Status::Placed,
        }
    }
}

impl Order {
    pub(crate) fn new(id: OrderId, placing: &PlaceOrder, lines: Vec<Line>, now: SystemTime) -> Self {
        let now = text(now);
        Order {
            id,
            order_source: placing.order_source,
            loyalty_member_id: placing.loyalty_member_id.clone(),
            order_status: Status::Placed,
            location: placing.location,
            total: lines.iter().map(|line| line.price).sum(),
            item_lines: lines,
            placed_at: now.clone(),
            updated_at: now,
        }
    }

    /// The event that asks a station for its lines; `None` when nothing is for it.
    pub(crate) fn placed_at_station(&self, station: Station) -> Option<OrderPlaced> {
        let lines = self.item_lines.iter();
        let item_lines: Vec<_> = lines
            .filter(|line| station.makes(line.item_type))
            .map(|line| PlacedLine {
                item_line_id: line.item_line_id.clone(),
                item_type: line.item_type,
                item_status: line.item_status,
            })
            .collect();
        let order_id = self.id;
        (!item_lines.is_empty()).then_some(OrderPlaced {
            order_id,
            item_lines,
        })
    }

    /// The order with these lines made; `None` when that changes nothing: it is not the first time,
    /// or too late.
    pub(crate) fn made(mut self, made: &[MadeLine], now: SystemTime) -> Option<Self> {
        if self.order_status.is_final() {
            return None;
        }
        let mut changed = false;
        for line in &mut self.item_lines {
            let is = |made: &MadeLine| made.item_line_id == line.item_line_id;
            if line.item_status != Status::Fulfilled && made.iter().any(is) {
                line.item_status = Status::Fulfilled;
                changed = true;
            }
        }
        let mut lines = self.item_lines.iter();
        let all = lines.all(|line| line.item_status == Status::Fulfilled);
        let status = if all {
            Status::Fulfilled
        } else {
            Status::InProgress
        };
        changed.then(|| self.with_status(status, now))
    }

    /// The order paid back, with the lines that were not made; `None` when it has ended already.
    pub(crate) fn refunded(mut self, now: SystemTime) -> Option<Self> {
        if self.order_status.is_final() {
            return None;
        }
        for line in &mut self.item_lines {
            if !line.item_status.is_final() {
                line.item_status = Status::Refunded;
            }
        }
        Some(self.with_status(Status::Refunded, now))
    }

    /// Returns whether it was placed this long ago. An unreadable time is long ago.
    pub(crate) fn is_older_than(&self, age: Duration, now: SystemTime) -> bool {
        match humantime::parse_rfc3339(&self.placed_at) {
            Ok(placed) => now.duration_since(placed).is_ok_and(|since| since >= age),
            Err(_) => true,
        }
    }

    fn with_status(mut self, status: Status, now: SystemTime) -> Self {
        self.order_status = status;
        self.updated_at = text(now);
        self
    }
}

fn text(moment: SystemTime) -> String {
    humantime::format_rfc3339_millis(moment).to_string()
}
