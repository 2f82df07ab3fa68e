//! An order as a client writes it, and what is wrong with it.

use coffeeshop_common::Station;
use serde::{Deserialize, Serialize};
use wasmgate_sdk::Error;

use crate::{catalogue::Catalogue, order::Line};

/// The most items in an order: more than anyone carries, few enough for one event.
const ITEMS_MAX: usize = 50;

/// The longest loyalty member's id, in bytes: a UUID is 36.
const MEMBER_BYTES_MAX: usize = 64;

/// The number of order sources: 0 COUNTER, 1 WEB.
const SOURCES: u8 = 2;

/// The number of locations: 0 ATLANTA, 1 CHARLOTTE, 2 RALEIGH.
const LOCATIONS: u8 = 3;

/// The body of `POST /v1/api/orders`. The reference's `commandType` and `timestamp` may be there
/// and mean nothing: this is the only command, and the counter has its own clock.
#[derive(Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
pub(crate) struct PlaceOrder {
    pub(crate) order_source: u8,
    pub(crate) location: u8,
    pub(crate) loyalty_member_id: Option<String>,
    #[serde(deserialize_with = "null_is_none")]
    barista_items: Vec<Wanted>,
    #[serde(deserialize_with = "null_is_none")]
    kitchen_items: Vec<Wanted>,
}

#[derive(Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    item_type: u32,
}

/// One thing that is wrong, and where: a JSON pointer (RFC 6901).
#[derive(Debug, Serialize)]
struct Mistake {
    pointer: String,
    detail: String,
}

impl PlaceOrder {
    /// The order's lines with the catalogue's names and prices; 400 with everything that is wrong.
    pub(crate) fn lines(&self, catalogue: &Catalogue) -> Result<Vec<Line>, Error> {
        let mut mistakes = self.mistakes();
        let mut lines = Vec::new();
        for (station, items) in [
            (Station::Barista, &self.barista_items),
            (Station::Kitchen, &self.kitchen_items),
        ] {
            for (index, wanted) in items.iter().enumerate() {
                match line(station, wanted.item_type, catalogue, lines.len()) {
                    Ok(line) => lines.push(line),
                    Err(detail) => mistakes.push(Mistake {
                        pointer: format!("/{}Items/{index}/itemType", station.name()),
                        detail,
                    }),
                }
            }
        }
        if mistakes.is_empty() {
            return Ok(lines);
        }
        let first = mistakes.first().map(|mistake| mistake.detail.clone());
        Err(Error::bad_request(first.unwrap_or_default()).with("errors", mistakes))
    }

    /// Mistakes whatever is on the menu.
    fn mistakes(&self) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        let mut check = |good: bool, pointer: &str, detail: String| {
            if !good {
                let pointer = pointer.to_owned();
                mistakes.push(Mistake { pointer, detail });
            }
        };
        let (source, location) = (self.order_source, self.location);
        check(
            source < SOURCES,
            "/orderSource",
            format!("{source} is no order source; write 0 for the counter or 1 for the web"),
        );
        check(
            location < LOCATIONS,
            "/location",
            format!("{location} is no location; write 0, 1 or 2"),
        );
        let member = self.loyalty_member_id.as_deref().unwrap_or_default();
        check(
            member.len() <= MEMBER_BYTES_MAX,
            "/loyaltyMemberId",
            format!("a member's id is no longer than {MEMBER_BYTES_MAX} bytes"),
        );
        let items = self.barista_items.len() + self.kitchen_items.len();
        check(
            items > 0,
            "",
            "an order has at least one item, in baristaItems or kitchenItems".to_owned(),
        );
        check(
            items <= ITEMS_MAX,
            "",
            format!("an order has at most {ITEMS_MAX} items, not {items}"),
        );
        mistakes
    }
}

fn line(station: Station, item_type: u32, catalogue: &Catalogue, index: usize) -> Result<Line, String> {
    let Some(item) = catalogue.find(item_type) else {
        return Err(format!("there is no item of type {item_type}"));
    };
    if !station.makes(item_type) {
        let name = station.name();
        return Err(format!("the {name} does not make {}", item.name));
    }
    Ok(Line::new(index, item))
}

/// The reference's clients write `null` for no items.
fn null_is_none<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Wanted>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
