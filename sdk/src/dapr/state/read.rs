//! Reading: one key, or many at once.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::{Etag, Store};
use crate::{Method, client, dapr::Error};

/// A value with its version.
///
/// ```
/// # use wasmgate_sdk::{Error, dapr};
/// # async fn f() -> Result<(), Error> {
/// let store = dapr::state("statestore");
/// if let Some(entry) = store.entry::<u64>("visits").await? {
///     store.replace("visits", &(entry.value + 1), &entry.etag).await?;
/// }
/// # Ok(())
/// # }
/// # let dapr = wasmgate_sdk::testing::dapr();
/// # dapr.set_state("statestore", "visits", serde_json::json!(1));
/// # wasmgate_sdk::testing::block_on(f()).unwrap();
/// # assert_eq!(dapr.state("statestore", "visits").unwrap(), 2);
/// ```
#[derive(Clone, Debug)]
pub struct Entry<T> {
    /// The value.
    pub value: T,
    /// Its version.
    pub etag: Etag,
    /// The time of its end (RFC 3339), if it has an expiry and the store tells.
    pub expires: Option<String>,
}

/// Keys of a bulk that the component reads at the same time, if it does not read them all in
/// one go: Dapr's own default.
const PARALLELISM: u32 = 10;

impl Store {
    /// A value, `None` when there is none.
    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Error> {
        Ok(self.entry(key).await?.map(|entry| entry.value))
    }

    /// A value with its ETag.
    pub async fn entry<T: DeserializeOwned>(&self, key: &str) -> Result<Option<Entry<T>>, Error> {
        let Some(entry) = self.bytes(key).await? else {
            return Ok(None);
        };
        Ok(Some(Entry {
            value: serde_json::from_slice(&entry.value)?,
            etag: entry.etag,
            expires: entry.expires,
        }))
    }

    /// A value as it is stored.
    pub async fn bytes(&self, key: &str) -> Result<Option<Entry<Vec<u8>>>, Error> {
        let response = self.keyed(Method::GET, key).send().await?;
        if response.status() == 204 {
            return Ok(None);
        }
        let header = |name| response.header(name).map(str::to_owned);
        let etag = Etag::from(header("etag").unwrap_or_default());
        let expires = header("metadata.ttlExpireTime");
        let value = response.bytes().await?;
        Ok(Some(Entry {
            value,
            etag,
            expires,
        }))
    }

    /// Many values in one call, each key with its value, in the order of the keys.
    ///
    /// ```
    /// # use wasmgate_sdk::{Error, dapr};
    /// # async fn f() -> Result<(), Error> {
    /// for (key, entry) in dapr::state("statestore").get_many::<u64>(&["a", "b"]).await? {
    ///     println!("{key}: {:?}", entry.map(|entry| entry.value));
    /// }
    /// # Ok(())
    /// # }
    /// # let _dapr = wasmgate_sdk::testing::dapr();
    /// # wasmgate_sdk::testing::block_on(f()).unwrap();
    /// ```
    pub async fn get_many<T: DeserializeOwned>(
        &self,
        keys: &[impl AsRef<str>],
    ) -> Result<Vec<(String, Option<Entry<T>>)>, Error> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<&str> = keys.iter().map(AsRef::as_ref).collect();
        let response = self.bulk(&keys).await?.bytes().await?;
        let items: Vec<Item<'_>> = serde_json::from_slice(&response)?;
        // Most often the answer has the keys' order, though Dapr promises none.
        let mut next = 0;
        let mut find = |key| {
            let mut ahead = items.iter().cycle().skip(next).take(items.len());
            let steps = ahead.position(|item| item.key == key)?;
            let index = (next + steps) % items.len();
            next = index + 1;
            items.get(index)
        };
        keys.into_iter()
            .map(|key| {
                let entry = find(key).map(Item::entry).transpose()?.flatten();
                Ok((key.to_owned(), entry))
            })
            .collect()
    }

    async fn bulk(&self, keys: &[&str]) -> Result<client::Response, Error> {
        #[derive(Serialize)]
        struct Bulk<'a> {
            keys: &'a [&'a str],
            parallelism: u32,
        }
        let bulk = Bulk {
            keys,
            parallelism: PARALLELISM,
        };
        self.api(Method::POST)
            .path("/bulk")
            .metadata(&self.metadata)
            .json(&bulk)
            .send()
            .await
    }
}

/// One answer of a bulk.
#[derive(Deserialize)]
struct Item<'a> {
    key: String,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    etag: Option<String>,
    error: Option<String>,
    metadata: Option<ItemMetadata>,
}

#[derive(Deserialize)]
struct ItemMetadata {
    #[serde(rename = "ttlExpireTime")]
    expires: Option<String>,
}

impl Item<'_> {
    fn entry<T: DeserializeOwned>(&self) -> Result<Option<Entry<T>>, Error> {
        if let Some(message) = self.error.as_ref().filter(|error| !error.is_empty()) {
            return Err(Error::Api {
                code: "ERR_STATE_GET".to_owned(),
                message: format!("`{}`: {message}", self.key),
                status: 200,
            });
        }
        if self.data.is_none() && self.etag.is_none() {
            return Ok(None);
        }
        // A null that is stored looks like none here.
        let json = self.data.map_or("null", RawValue::get);
        Ok(Some(Entry {
            value: serde_json::from_str(json)?,
            etag: Etag::from(self.etag.as_deref().unwrap_or_default()),
            expires: self.metadata.as_ref().and_then(|all| all.expires.clone()),
        }))
    }
}
