//! The shop's items. Types 0 to 5 are drinks, 6 to 9 are food.

use serde::Serialize;

/// One thing to buy.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Item {
    pub(crate) name: &'static str,
    pub(crate) item_type: u32,
    /// In dollars.
    pub(crate) price: f64,
    /// A picture's path below the shop's page.
    pub(crate) image: &'static str,
}

/// Every item, by type.
pub(crate) static ITEMS: [Item; 10] = [
    item(0, "CAPPUCCINO", 4.5, "img/CAPPUCCINO.svg"),
    item(1, "COFFEE_BLACK", 3.0, "img/COFFEE_BLACK.svg"),
    item(2, "COFFEE_WITH_ROOM", 3.0, "img/COFFEE_WITH_ROOM.svg"),
    item(3, "ESPRESSO", 3.5, "img/ESPRESSO.svg"),
    item(4, "ESPRESSO_DOUBLE", 4.5, "img/ESPRESSO_DOUBLE.svg"),
    item(5, "LATTE", 4.5, "img/LATTE.svg"),
    item(6, "CAKEPOP", 2.5, "img/CAKEPOP.svg"),
    item(7, "CROISSANT", 3.25, "img/CROISSANT.svg"),
    item(8, "MUFFIN", 3.0, "img/MUFFIN.svg"),
    item(9, "CROISSANT_CHOCOLATE", 3.5, "img/CROISSANT_CHOCOLATE.svg"),
];

const fn item(item_type: u32, name: &'static str, price: f64, image: &'static str) -> Item {
    Item {
        name,
        item_type,
        price,
        image,
    }
}
