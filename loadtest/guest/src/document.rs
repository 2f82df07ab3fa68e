//! The answer to `/json`.

use serde::Serialize;

/// As many as make about a kilobyte of JSON.
const ITEMS: u32 = 10;

/// A page of a shop's catalogue: numbers, texts, flags and lists, as answers
/// of real services have them. It is made anew for each request.
#[derive(Debug, Serialize)]
pub struct Document {
    shop: String,
    page: u32,
    pages: u32,
    items: Vec<Item>,
}

#[derive(Debug, Serialize)]
struct Item {
    id: u32,
    name: String,
    price: f64,
    available: bool,
    tags: Vec<&'static str>,
}

impl Document {
    /// Always the same one.
    #[must_use]
    pub fn new() -> Self {
        let item = |id| Item {
            id,
            name: format!("Cappuccino number {id}"),
            price: 3.0 + f64::from(id) / 4.0,
            available: id % 3 != 0,
            tags: vec!["drink", "hot", "milk"],
        };
        Self {
            shop: "Coffee \"and\" more".to_owned(),
            page: 1,
            pages: 4,
            items: (1..=ITEMS).map(item).collect(),
        }
    }
}

impl Default for Document {
    fn default() -> Self {
        Self::new()
    }
}
