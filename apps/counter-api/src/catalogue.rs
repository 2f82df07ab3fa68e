//! The items that can be ordered, as product-api tells.

use serde::Deserialize;
use wasmgate_sdk::{Error, dapr};

/// One thing to buy.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Item {
    pub(crate) name: String,
    pub(crate) item_type: u32,
    /// In dollars.
    pub(crate) price: f64,
}

/// Everything there is.
pub(crate) struct Catalogue(Vec<Item>);

impl Catalogue {
    pub(crate) async fn fetch() -> Result<Self, Error> {
        let products = dapr::invoke("product-api");
        Ok(Catalogue(products.get("/v1-get-item-types").fetch().await?))
    }

    pub(crate) fn find(&self, item_type: u32) -> Option<&Item> {
        self.0.iter().find(|item| item.item_type == item_type)
    }
}
