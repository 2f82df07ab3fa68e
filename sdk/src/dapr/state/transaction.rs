//! Several writes as one.

use std::borrow::Cow;

use serde::Serialize;

use super::{
    Concurrency, Etag, Save, Store,
    save::{Options, Request},
};
use crate::{
    Method,
    dapr::{Error, metadata::Metadata},
};

/// Saves and deletes that happen together or not at all, from
/// [`Store::transaction`](super::Store::transaction).
///
/// In a store with an outbox (its metadata `outboxPublishPubsub` and `outboxPublishTopic`) what is
/// saved is published as well, in the same transaction: either both happen or neither. A deletion is no event. A second
/// save of a key with the metadata `outbox.projection` = `true` is published in place of the first and not saved.
/// Beside a sidecar only texts are published as they are: Dapr 1.18 prints an object as Go does (`map[a:1]`).
///
/// ```
/// # use wasmgate_sdk::{Error, dapr::{self, state::Save}};
/// # async fn f() -> Result<(), Error> {
/// let store = dapr::state("statestore");
/// let transfer = store.transaction()
///     .save(Save::new("ada", &90).first_write())
///     .upsert("bob", &110)
///     .delete("pending")
///     .metadata("source", "counter");
/// transfer.commit().await?; // an ETag that does not match: nothing happens, Error::EtagMismatch
/// # Ok(())
/// # }
/// # let dapr = wasmgate_sdk::testing::dapr();
/// # wasmgate_sdk::testing::block_on(f()).unwrap();
/// # assert_eq!(dapr.state("statestore", "bob").unwrap(), 110);
/// # assert!(wasmgate_sdk::testing::block_on(f()).is_err());
/// ```
#[derive(Debug)]
#[must_use = "nothing happens until it is committed"]
pub struct Transaction {
    store: Store,
    operations: Result<Vec<Operation>, Error>,
    metadata: Metadata,
}

#[derive(Debug, Serialize)]
struct Operation {
    operation: &'static str,
    request: Request,
}

impl Transaction {
    pub(super) fn new(store: Store) -> Self {
        Transaction {
            store,
            operations: Ok(Vec::new()),
            metadata: Metadata::new(),
        }
    }

    /// Saves a value as JSON, whatever was there.
    pub fn upsert(self, key: impl Into<String>, value: &(impl Serialize + ?Sized)) -> Self {
        self.save(Save::new(key, value))
    }

    /// Saves with an ETag, an expiry or metadata.
    pub fn save(self, save: Save) -> Self {
        let request = save.into_request(self.store.consistency);
        self.push("upsert", request)
    }

    /// Deletes a key, if it is there.
    pub fn delete(self, key: impl Into<String>) -> Self {
        self.push("delete", Request::new(key.into()))
    }

    /// Deletes the value that has the ETag; if that has changed, nothing of it all happens.
    pub fn delete_if(self, key: impl Into<String>, etag: &Etag) -> Self {
        let request = || {
            let mut request = Request::new(key.into())?;
            request.etag = Some(etag.clone().into_sent()?);
            request.options = Options::new(Some(Concurrency::FirstWrite), None);
            Ok(request)
        };
        self.push("delete", request())
    }

    /// Metadata for the component about all of it, for example `partitionKey`.
    pub fn metadata(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.metadata.set(name, value);
        self
    }

    /// Does it; [`Error::EtagMismatch`] when an ETag did not match. Nothing to do is done already.
    pub async fn commit(self) -> Result<(), Error> {
        #[derive(Serialize)]
        struct Body {
            operations: Vec<Operation>,
            #[serde(skip_serializing_if = "Metadata::is_empty")]
            metadata: Metadata,
        }
        let operations = self.operations?;
        if operations.is_empty() {
            return Ok(());
        }
        let body = Body {
            operations,
            metadata: self.metadata,
        };
        self.store
            .api(Method::POST)
            .path("/transaction")
            .json(&body)
            .send()
            .await?;
        Ok(())
    }

    fn push(mut self, operation: &'static str, request: Result<Request, Error>) -> Self {
        match (&mut self.operations, request) {
            (Ok(operations), Ok(request)) => operations.push(Operation { operation, request }),
            (Ok(_), Err(error)) => self.operations = Err(error),
            (Err(_), _) => {}
        }
        self
    }
}
