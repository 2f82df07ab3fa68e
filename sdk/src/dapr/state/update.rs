//! Read, decide, write; again when somebody else was faster.

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};

use super::{Save, Store};
use crate::{dapr::Error, host, time};

/// Mismatches of an ETag after which [`Store::update`] and its kin give up. Of any number
/// of writers one gets through in every round, and the pauses spread the rest, so that many
/// writers on one key need far fewer.
pub const MISMATCHES_MAX: u32 = 100;

/// The longest pause before another try, in milliseconds. Writers of one key get through one after
/// another, so the pauses have to grow to what all of them together take: hundreds of writers at a
/// millisecond or two each.
const PAUSE_MAX_MS: u64 = 1024;

impl Store {
    /// Changes a value: reads it, asks what it becomes, and writes that unless somebody else wrote
    /// in between; then it starts again. `None` stands for no value. The function may run several
    /// times, so it should do nothing but answer.
    ///
    /// [`Error::EtagMismatch`] after [`MISMATCHES_MAX`] tries.
    ///
    /// ```
    /// # use wasmgate_sdk::{Error, dapr};
    /// # async fn f() -> Result<(), Error> {
    /// let ids = dapr::state("statestore")
    ///     .update("order-list", |old: Option<Vec<String>>| {
    ///         let mut ids = old.unwrap_or_default();
    ///         ids.push("7".into());
    ///         ids
    ///     })
    ///     .await?;
    /// assert_eq!(ids, ["7"]);
    /// # Ok(())
    /// # }
    /// # let _dapr = wasmgate_sdk::testing::dapr();
    /// # wasmgate_sdk::testing::block_on(f()).unwrap();
    /// ```
    pub async fn update<T: Serialize + DeserializeOwned>(
        &self,
        key: &str,
        mut change: impl FnMut(Option<T>) -> T,
    ) -> Result<T, Error> {
        let mut mismatches = Mismatches::default();
        loop {
            match self
                .update_once(key, &mut |old| Ok(Some(change(old))))
                .await
            {
                // The change is never `None`.
                Ok(Some(value)) => return Ok(value),
                Ok(None) => {}
                Err(error @ Error::EtagMismatch { .. }) => mismatches.pause(error).await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// The same with a function that may leave the value as it is, `Ok(None)`, or refuse; what was
    /// written, if anything.
    ///
    /// ```
    /// # use wasmgate_sdk::{Error, dapr};
    /// async fn take(id: &str) -> Result<(), Error> {
    ///     let store = dapr::state("statestore");
    ///     store.try_update(id, |stock: Option<u32>| match stock {
    ///         None | Some(0) => Err(Error::conflict("sold out")),
    ///         Some(stock) => Ok(Some(stock - 1)),
    ///     }).await?;
    ///     Ok(())
    /// }
    /// # let dapr = wasmgate_sdk::testing::dapr();
    /// # dapr.set_state("statestore", "muffin", serde_json::json!(1));
    /// # wasmgate_sdk::testing::block_on(take("muffin")).unwrap();
    /// # assert_eq!(wasmgate_sdk::testing::block_on(take("muffin")).unwrap_err().status(), 409);
    /// ```
    pub async fn try_update<T: Serialize + DeserializeOwned>(
        &self,
        key: &str,
        mut change: impl FnMut(Option<T>) -> Result<Option<T>, crate::Error>,
    ) -> Result<Option<T>, crate::Error> {
        retry_mismatches(async || self.update_once(key, &mut change).await).await
    }

    async fn update_once<T: Serialize + DeserializeOwned, E: From<Error>>(
        &self,
        key: &str,
        change: &mut impl FnMut(Option<T>) -> Result<Option<T>, E>,
    ) -> Result<Option<T>, E> {
        let (old, etag) = match self.entry::<T>(key).await? {
            Some(entry) => (Some(entry.value), Some(entry.etag)),
            None => (None, None),
        };
        let Some(new) = change(old)? else {
            return Ok(None);
        };
        let save = Save::new(key, &new);
        let save = match &etag {
            Some(etag) => save.if_match(etag),
            None => save.first_write(),
        };
        self.save_all([save]).await?;
        Ok(Some(new))
    }
}

/// Runs a closure again, after a short random pause, for as long as it fails with
/// [`Error::EtagMismatch`] and at most [`MISMATCHES_MAX`] times: for a read-modify-write of
/// several keys in a transaction.
///
/// ```
/// # use wasmgate_sdk::{Error, dapr::{self, state::{self, Save}}};
/// async fn append(id: &str) -> Result<(), Error> {
///     let store = dapr::state("statestore");
///     state::retry_mismatches(async || {
///         let list = store.entry::<Vec<String>>("order-list").await?;
///         let (mut ids, etag) = list.map(|list| (list.value, list.etag)).unzip();
///         let ids = ids.get_or_insert_default();
///         ids.push(id.to_owned());
///         let save = Save::new("order-list", &ids);
///         let save = match &etag {
///             Some(etag) => save.if_match(etag),
///             None => save.first_write(),
///         };
///         Ok(store.transaction().save(save).upsert(id, &"PLACED").commit().await?)
///     }).await
/// }
/// # let dapr = wasmgate_sdk::testing::dapr();
/// # wasmgate_sdk::testing::block_on(append("7")).unwrap();
/// # wasmgate_sdk::testing::block_on(append("8")).unwrap();
/// # assert_eq!(dapr.state("statestore", "order-list").unwrap(), serde_json::json!(["7", "8"]));
/// ```
pub async fn retry_mismatches<T>(mut attempt: impl AsyncFnMut() -> Result<T, crate::Error>) -> Result<T, crate::Error> {
    let mut mismatches = Mismatches::default();
    loop {
        match attempt().await {
            Err(error) if is_mismatch(&error) => mismatches.pause(error).await?,
            result => return result,
        }
    }
}

/// The number of mismatches so far.
#[derive(Default)]
struct Mismatches(u32);

impl Mismatches {
    /// Waits a little, longer from time to time; gives the error back when it has been too often.
    async fn pause<E>(&mut self, error: E) -> Result<(), E> {
        self.0 += 1;
        if self.0 >= MISMATCHES_MAX {
            return Err(error);
        }
        let most_ms = (1 << self.0.min(16)).min(PAUSE_MAX_MS);
        // Random, so that two that met once do not meet again.
        time::sleep(Duration::from_millis(host::random() % most_ms)).await;
        Ok(())
    }
}

fn is_mismatch(error: &crate::Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref());
    matches!(source, Some(Error::EtagMismatch { .. }))
}
