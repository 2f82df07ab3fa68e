//! State: values under keys, with ETags, expiry and transactions.
//!
//! ```
//! use wasmgate_sdk::{Error, dapr};
//! # use serde::{Deserialize, Serialize};
//!
//! #[derive(Deserialize, Serialize)]
//! struct Order { status: String }
//!
//! async fn fulfil(id: &str) -> Result<(), Error> {
//!     let store = dapr::state("statestore");
//!     let Some(order) = store.entry::<Order>(id).await? else {
//!         return Err(Error::not_found("no such order"));
//!     };
//!     let fulfilled = Order { status: "FULFILLED".into() };
//!     store.replace(id, &fulfilled, &order.etag).await?; // 409 if another was faster
//!     Ok(())
//! }
//! # let dapr = wasmgate_sdk::testing::dapr();
//! # dapr.set_state("statestore", "7", serde_json::json!({"status": "PLACED"}));
//! # wasmgate_sdk::testing::block_on(fulfil("7")).unwrap();
//! # assert_eq!(dapr.state("statestore", "7").unwrap()["status"], "FULFILLED");
//! ```

mod etag;
mod read;
mod save;
mod transaction;
mod update;

use std::borrow::Cow;

use serde::Serialize;

pub use etag::Etag;
pub use read::Entry;
pub use save::{Concurrency, Consistency, Save};
pub use transaction::Transaction;
pub use update::{MISMATCHES_MAX, retry_mismatches};

use super::{Error, api::Api, metadata::Metadata};
use crate::Method;

/// A state store, from [`dapr::state`](fn@crate::dapr::state).
///
/// Keys are the package's own: two packages that use one store do not see each other's, unless
/// the store's `keyPrefix` says so. A key may not contain `||`.
///
/// ```
/// # use wasmgate_sdk::{Error, dapr};
/// # async fn f() -> Result<(), Error> {
/// let store = dapr::state("statestore");
/// store.save("greeting", &"hello").await?;
/// let greeting: Option<String> = store.get("greeting").await?;
/// assert_eq!(greeting.as_deref(), Some("hello"));
/// store.delete("greeting").await?;
/// let visits = store.update("visits", |old: Option<u64>| old.unwrap_or(0) + 1).await?;
/// assert_eq!(visits, 1);
/// # Ok(())
/// # }
/// # let _dapr = wasmgate_sdk::testing::dapr();
/// # wasmgate_sdk::testing::block_on(f()).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Store {
    name: Cow<'static, str>,
    consistency: Option<Consistency>,
    metadata: Metadata,
}

impl Store {
    pub(super) fn new(name: Cow<'static, str>) -> Self {
        Store {
            name,
            consistency: None,
            metadata: Metadata::new(),
        }
    }

    /// The same store with a consistency for reads, and for writes that name none themselves; the
    /// component's own where nothing is said.
    pub fn with_consistency(mut self, consistency: Consistency) -> Self {
        self.consistency = Some(consistency);
        self
    }

    /// The same store with metadata for the component, sent with reads and deletes, for example
    /// `partitionKey`; writes have their own, [`Save::metadata`].
    pub fn with_metadata(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.metadata.set(name, value);
        self
    }

    /// Saves a value as JSON, whatever was there: the last write wins.
    pub async fn save(&self, key: &str, value: &impl Serialize) -> Result<(), Error> {
        self.save_all([Save::new(key, value)]).await
    }

    /// Saves a value under a key that must not exist; [`Error::EtagMismatch`] if it does.
    pub async fn create(&self, key: &str, value: &impl Serialize) -> Result<(), Error> {
        self.save_all([Save::new(key, value).first_write()]).await
    }

    /// Saves a value in place of the one that has the ETag; [`Error::EtagMismatch`] if that has
    /// changed or gone.
    pub async fn replace(&self, key: &str, value: &impl Serialize, etag: &Etag) -> Result<(), Error> {
        self.save_all([Save::new(key, value).if_match(etag)]).await
    }

    /// Saves several; not together: if one fails, others may have been saved. For all or nothing
    /// there is [`transaction`](Store::transaction).
    pub async fn save_all(&self, saves: impl IntoIterator<Item = Save>) -> Result<(), Error> {
        let saves: Vec<_> = saves
            .into_iter()
            .map(|save| save.into_request(self.consistency))
            .collect::<Result<_, _>>()?;
        if saves.is_empty() {
            return Ok(());
        }
        self.api(Method::POST).json(&saves).send().await?;
        Ok(())
    }

    /// Deletes a key, if it is there.
    pub async fn delete(&self, key: &str) -> Result<(), Error> {
        self.keyed(Method::DELETE, key).send().await?;
        Ok(())
    }

    /// Deletes the value that has the ETag; [`Error::EtagMismatch`] if that has changed.
    pub async fn delete_if(&self, key: &str, etag: &Etag) -> Result<(), Error> {
        let etag = etag.clone().into_sent()?;
        self.keyed(Method::DELETE, key)
            .query("concurrency", Concurrency::FirstWrite.as_str())
            .if_match(&etag)
            .send()
            .await?;
        Ok(())
    }

    /// Saves and deletes that happen together or not at all.
    pub fn transaction(&self) -> Transaction {
        Transaction::new(self.clone())
    }

    fn api(&self, method: Method) -> Api {
        Api::new(method, "/v1.0/state").segment(&self.name)
    }

    fn keyed(&self, method: Method, key: &str) -> Api {
        let api = self.api(method).segment(key).metadata(&self.metadata);
        match self.consistency {
            Some(consistency) => api.query("consistency", consistency.as_str()),
            None => api,
        }
    }
}
