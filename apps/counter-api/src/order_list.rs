//! The ids of all orders, oldest first.
//!
//! The newest are under `order-list`; once there are [`PAGE_IDS`] of them they move to
//! `order-list-0`, `order-list-1` and so on, so that an append costs the same however many orders
//! there are. `order-list-pages` counts the pages that have moved.

use coffeeshop_common::{OrderId, STORE};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use wasmgate_sdk::{
    Error,
    dapr::{
        self,
        state::{Entry, Save},
    },
};

/// Ids on a page: 40 KB, so that an append stays well below a millisecond.
const PAGE_IDS: usize = 1000;

const NEWEST: &str = "order-list";
const PAGES: &str = "order-list-pages";

/// The list as it is now.
pub(crate) struct OrderList {
    /// The ids that are not on a page yet, with their version.
    newest: Vec<OrderId>,
    entry: Option<Entry<()>>,
    pages: usize,
}

impl OrderList {
    pub(crate) async fn read() -> Result<Self, Error> {
        // In one call, as both change together.
        let store = dapr::state(STORE);
        let values = store.get_many::<Box<RawValue>>(&[NEWEST, PAGES]).await?;
        let mut list = OrderList {
            newest: Vec::new(),
            entry: None,
            pages: 0,
        };
        for (key, entry) in values {
            match (key.as_str(), entry) {
                (NEWEST, Some(entry)) => {
                    list.newest = parse(&entry)?;
                    list.entry = Some(Entry {
                        value: (),
                        etag: entry.etag,
                        expires: None,
                    });
                }
                (_, Some(entry)) => list.pages = parse(&entry)?,
                (_, None) => {}
            }
        }
        Ok(list)
    }

    /// The writes that append an id, to be part of the order's transaction; they fail if the list
    /// has changed.
    pub(crate) fn append(mut self, id: OrderId) -> Vec<Save> {
        let mut saves = Vec::new();
        if self.newest.len() >= PAGE_IDS {
            let page = page_key(self.pages);
            saves.push(Save::new(page, &self.newest).first_write());
            saves.push(Save::new(PAGES, &(self.pages + 1)));
            self.newest.clear();
        }
        self.newest.push(id);
        let save = Save::new(NEWEST, &self.newest);
        saves.push(match &self.entry {
            Some(entry) => save.if_match(&entry.etag),
            None => save.first_write(),
        });
        saves
    }

    pub(crate) fn len(&self) -> usize {
        self.pages * PAGE_IDS + self.newest.len()
    }

    /// Up to `count` ids, newest first, after the newest `skip`.
    pub(crate) async fn newest_first(&self, skip: usize, count: usize) -> Result<Vec<OrderId>, Error> {
        let end = self.len().saturating_sub(skip);
        let start = end.saturating_sub(count);
        let mut ids = Vec::with_capacity(end - start);
        let mut page: Option<(usize, Vec<OrderId>)> = None;
        for index in (start..end).rev() {
            let (number, place) = (index / PAGE_IDS, index % PAGE_IDS);
            if number >= self.pages {
                ids.extend(self.newest.get(place));
                continue;
            }
            let loaded = match page.take() {
                Some(loaded) if loaded.0 == number => loaded,
                _ => (number, load(number).await?),
            };
            ids.extend(loaded.1.get(place));
            page = Some(loaded);
        }
        Ok(ids)
    }
}

async fn load(page: usize) -> Result<Vec<OrderId>, Error> {
    let key = page_key(page);
    let ids = dapr::state(STORE).get(&key).await?;
    ids.ok_or_else(|| Error::internal(format!("`{key}` is missing")))
}

fn parse<T: DeserializeOwned>(entry: &Entry<Box<RawValue>>) -> Result<T, Error> {
    Ok(serde_json::from_str(entry.value.get())?)
}

fn page_key(page: usize) -> String {
    format!("order-list-{page}")
}
