//! Secrets.

use std::{borrow::Cow, collections::BTreeMap};

use super::{Error, api::Api, metadata::Metadata};
use crate::Method;

/// A secret store, from [`dapr::secrets`](fn@crate::dapr::secrets).
///
/// ```
/// # use wasmgate_sdk::{Error, client, dapr};
/// async fn call_partner() -> Result<(), Error> {
///     let key = dapr::secrets("secretstore").get("partner-key").await?;
///     client::post("https://partner.example.com").header("x-api-key", key).send().await?;
///     Ok(())
/// }
/// # let _ = call_partner;
/// # let dapr = wasmgate_sdk::testing::dapr();
/// # dapr.set_secret("secretstore", "partner-key", "hush");
/// # let key = wasmgate_sdk::testing::block_on(dapr::secrets("secretstore").get("partner-key"));
/// # assert_eq!(key.unwrap(), "hush");
/// ```
#[derive(Clone, Debug)]
pub struct SecretStore {
    name: Cow<'static, str>,
    metadata: Metadata,
}

impl SecretStore {
    pub(super) fn new(name: Cow<'static, str>) -> Self {
        SecretStore {
            name,
            metadata: Metadata::new(),
        }
    }

    /// The same store with metadata for the component, for example `version_id`.
    pub fn with_metadata(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.metadata.set(name, value);
        self
    }

    /// A secret's value; [`Error::NotFound`] when there is none. For a secret of several values,
    /// one that has the secret's name, or the only one.
    pub async fn get(&self, name: &str) -> Result<String, Error> {
        let mut values = self.values(name).await?;
        match values.remove(name) {
            Some(value) => Ok(value),
            None if values.len() == 1 => Ok(values.into_values().collect()),
            None => Err(Error::Invalid(format!(
                "the secret `{name}` has several values, of other names: read its `values`"
            ))),
        }
    }

    /// The values of a secret that has several, by name.
    pub async fn values(&self, name: &str) -> Result<BTreeMap<String, String>, Error> {
        let api = self.api().segment(name).metadata(&self.metadata);
        Ok(api.send().await?.json().await?)
    }

    /// Every secret the package may read: by secret, then by the value's name.
    pub async fn all(&self) -> Result<BTreeMap<String, BTreeMap<String, String>>, Error> {
        let api = self.api().path("/bulk").metadata(&self.metadata);
        Ok(api.send().await?.json().await?)
    }

    fn api(&self) -> Api {
        Api::new(Method::GET, "/v1.0/secrets").segment(&self.name)
    }
}
