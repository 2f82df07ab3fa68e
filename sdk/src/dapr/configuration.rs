//! Configuration: values that may change while packages run.

use std::{borrow::Cow, collections::BTreeMap, rc::Rc};

use serde::Deserialize;

use super::{
    Error, IntoOutcome,
    api::Api,
    delivery::{Accepted, Handler, Source},
};
use crate::{Method, Router, percent};

/// A configuration store, from [`dapr::configuration`](fn@crate::dapr::configuration).
///
/// Every request is a fresh instance, so it is most often enough to read what is needed. Notices
/// of changes are for what has to be done once a change.
///
/// ```
/// # use wasmgate_sdk::{Error, dapr};
/// async fn discount() -> Result<f64, Error> {
///     let items = dapr::configuration("configstore").get(&["discount"]).await?;
///     Ok(items.get("discount").map_or(Ok(0.0), |item| item.value.parse())?)
/// }
/// # let dapr = wasmgate_sdk::testing::dapr();
/// # dapr.set_configuration("configstore", "discount", "0.25");
/// # assert_eq!(wasmgate_sdk::testing::block_on(discount()).unwrap(), 0.25);
/// ```
#[derive(Clone, Debug)]
pub struct ConfigurationStore {
    name: Cow<'static, str>,
}

/// A value of a configuration store, from [`ConfigurationStore::get`].
///
/// ```
/// # use wasmgate_sdk::{Error, dapr};
/// async fn show() -> Result<(), Error> {
///     for (key, item) in dapr::configuration("configstore").get(&["a", "b"]).await? {
///         println!("{key} = {}, version {}", item.value, item.version);
///     }
///     Ok(())
/// }
/// # let _dapr = wasmgate_sdk::testing::dapr();
/// # wasmgate_sdk::testing::block_on(show()).unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ConfigurationItem {
    /// The value.
    pub value: String,
    /// Its version, if the store has any.
    #[serde(default)]
    pub version: String,
    /// The store's metadata about it.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

/// Changes of configuration, to a handler of [`Router::configuration`].
///
/// ```
/// use wasmgate_sdk::{Error, Router, dapr::{self, configuration::ConfigurationUpdate}};
///
/// async fn changed(update: ConfigurationUpdate) -> Result<(), Error> {
///     let Some(discount) = update.items.get("discount") else { return Ok(()) };
///     Ok(dapr::state("statestore").save("discount", &discount.value).await?)
/// }
/// let app = Router::new().configuration("configstore", changed);
/// # let _ = app;
/// ```
#[derive(Clone, Debug, Deserialize)]
pub struct ConfigurationUpdate {
    /// Of which subscription they are.
    pub id: String,
    /// The changed items, by key.
    #[serde(default)]
    pub items: BTreeMap<String, ConfigurationItem>,
}

impl ConfigurationStore {
    pub(super) fn new(name: Cow<'static, str>) -> Self {
        ConfigurationStore { name }
    }

    /// The value of a key, `None` when there is none.
    ///
    /// ```
    /// # use wasmgate_sdk::{Error, dapr};
    /// # async fn f() -> Result<(), Error> {
    /// let banner = dapr::configuration("configstore").item("banner").await?;
    /// println!("{}", banner.map_or_else(|| "Welcome!".to_owned(), |banner| banner.value));
    /// # Ok(())
    /// # }
    /// # let _dapr = wasmgate_sdk::testing::dapr();
    /// # wasmgate_sdk::testing::block_on(f()).unwrap();
    /// ```
    pub async fn item(&self, key: &str) -> Result<Option<ConfigurationItem>, Error> {
        Ok(self.get(&[key]).await?.remove(key))
    }

    /// The values of keys, of all when none are named; a key that is not there is left out.
    pub async fn get(&self, keys: &[impl AsRef<str>]) -> Result<BTreeMap<String, ConfigurationItem>, Error> {
        let items = with_keys(self.api(), keys).send().await?.bytes().await?;
        // Dapr answers 204 when it has none of them.
        if items.is_empty() {
            return Ok(BTreeMap::new());
        }
        Ok(serde_json::from_slice(&items)?)
    }

    /// Asks for notices of changes of keys, of all when none are named; they come to
    /// [`Router::configuration`]. What it returns ends them, with
    /// [`unsubscribe`](Self::unsubscribe).
    pub async fn subscribe(&self, keys: &[impl AsRef<str>]) -> Result<String, Error> {
        #[derive(Deserialize)]
        struct Subscribed {
            id: String,
        }
        let api = with_keys(self.api().path("/subscribe"), keys);
        let subscribed: Subscribed = api.send().await?.json().await?;
        Ok(subscribed.id)
    }

    /// Ends a subscription, by what [`subscribe`](Self::subscribe) returned.
    pub async fn unsubscribe(&self, id: &str) -> Result<(), Error> {
        self.api().segment(id).path("/unsubscribe").send().await?;
        Ok(())
    }

    fn api(&self) -> Api {
        Api::new(Method::GET, "/v1.0/configuration").segment(&self.name)
    }
}

fn with_keys(api: Api, keys: &[impl AsRef<str>]) -> Api {
    keys.iter()
        .fold(api, |api, key| api.query("key", key.as_ref()))
}

/// Changes of configuration.
impl Router {
    /// Takes the notices of a configuration store's changes, on `POST /configuration/{store}/…`.
    ///
    /// ```
    /// use wasmgate_sdk::{Router, dapr::configuration::ConfigurationUpdate};
    ///
    /// let app = Router::new().configuration("configstore", |update: ConfigurationUpdate| {
    ///     for (key, item) in update.items {
    ///         println!("{key} is now {}", item.value);
    ///     }
    /// });
    /// # let change = serde_json::json!({"id": "1", "items": {"discount": {"value": "0.5"}}});
    /// # let change = wasmgate_sdk::Request::post("/configuration/configstore/discount").with_json(&change);
    /// # assert_eq!(wasmgate_sdk::testing::call(&app, change).status(), 200);
    /// ```
    pub fn configuration<R, M>(self, store: &'static str, handler: impl Fn(ConfigurationUpdate) -> R + 'static) -> Self
    where
        R: IntoOutcome<M>,
    {
        let handler: Handler = Rc::new(move |delivered| {
            let update = serde_json::from_slice(&delivered.body)
                .map_err(|error| crate::Error::new(422, format!("the change of configuration: {error}")))?;
            Ok(handler(update).into_outcome())
        });
        self.deliver_to(Changes { store, handler })
    }
}

struct Changes {
    store: &'static str,
    handler: Handler,
}

impl Source for Changes {
    fn accept(&self, method: &Method, path: &str) -> Option<Accepted> {
        let (store, key) = path.strip_prefix("/configuration/")?.split_once('/')?;
        if *method != Method::POST || percent::decode(store) != self.store {
            return None;
        }
        let key = percent::decode(key).into_owned();
        Some(Accepted::Delivered(Rc::clone(&self.handler), key))
    }

    #[cfg(not(target_family = "wasm"))]
    fn path(&self) -> Option<String> {
        Some(format!("/configuration/{}/key", self.store))
    }
}
