//! Locks that several apps share, each for a limited time.

use std::{borrow::Cow, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Error, api::Api, metadata::whole_seconds};
use crate::{Method, host};

/// A lock store, from [`dapr::lock`](fn@crate::dapr::lock).
///
/// ```
/// # use std::time::Duration;
/// # use wasmgate_sdk::{Error, dapr};
/// async fn nightly() -> Result<(), Error> {
///     let store = dapr::lock("lockstore");
///     let Some(lock) = store.try_lock("nightly", Duration::from_secs(60)).await? else {
///         return Ok(()); // another instance is at it
///     };
///     // … what only one may do …
///     lock.unlock().await?;
///     Ok(())
/// }
/// # let _dapr = wasmgate_sdk::testing::dapr();
/// # wasmgate_sdk::testing::block_on(nightly()).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct LockStore {
    name: Cow<'static, str>,
}

/// A lock that is held, until it is unlocked or expires; from [`LockStore::try_lock`]. Dropping it
/// does not unlock.
///
/// ```
/// # use std::time::Duration;
/// # use wasmgate_sdk::{Error, dapr, dapr::lock::Unlock};
/// # async fn f() -> Result<(), Error> {
/// let store = dapr::lock("lockstore");
/// if let Some(lock) = store.try_lock("till", Duration::from_secs(10)).await? {
///     println!("{} has the {}", lock.owner(), lock.resource());
///     assert_eq!(lock.unlock().await?, Unlock::Done);
/// }
/// # Ok(())
/// # }
/// # let _dapr = wasmgate_sdk::testing::dapr();
/// # wasmgate_sdk::testing::block_on(f()).unwrap();
/// ```
#[derive(Clone, Debug)]
#[must_use = "nobody else gets the lock until it is unlocked or expires"]
pub struct Lock {
    store: LockStore,
    resource: String,
    owner: String,
}

/// The result of an unlock; see [`LockStore::unlock`].
///
/// ```
/// # use wasmgate_sdk::{Error, dapr::{self, lock::Unlock}};
/// # async fn f() -> Result<(), Error> {
/// let answer = dapr::lock("lockstore").unlock("nightly", "somebody").await?;
/// assert_eq!(answer, Unlock::NotHeld);
/// # Ok(())
/// # }
/// # let _dapr = wasmgate_sdk::testing::dapr();
/// # wasmgate_sdk::testing::block_on(f()).unwrap();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unlock {
    /// Unlocked.
    Done,
    /// Nobody held it: it has expired, perhaps while the work was done.
    NotHeld,
    /// Another owner holds it: it has expired and been taken.
    HeldByAnother,
}

impl LockStore {
    pub(super) fn new(name: Cow<'static, str>) -> Self {
        LockStore { name }
    }

    /// Takes a lock for at most `expiry`, in whole seconds rounded up; `None` if it is held
    /// already. The owner is a random name.
    pub async fn try_lock(&self, resource: impl Into<String>, expiry: Duration) -> Result<Option<Lock>, Error> {
        let owner = format!("{:016x}{:016x}", host::random(), host::random());
        self.try_lock_as(resource, owner, expiry).await
    }

    /// The same for an owner with a name, which may unlock it in another request.
    pub async fn try_lock_as(
        &self,
        resource: impl Into<String>,
        owner: impl Into<String>,
        expiry: Duration,
    ) -> Result<Option<Lock>, Error> {
        #[derive(Deserialize)]
        struct Answer {
            success: bool,
        }
        let lock = Lock {
            store: self.clone(),
            resource: resource.into(),
            owner: owner.into(),
        };
        let request = Request {
            resource: &lock.resource,
            owner: &lock.owner,
            expiry: Some(whole_seconds(expiry)),
        };
        let answer: Answer = self
            .send("/v1.0-alpha1/lock", &request)
            .await?
            .json()
            .await?;
        Ok(answer.success.then_some(lock))
    }

    /// Gives a lock back.
    pub async fn unlock(&self, resource: &str, owner: &str) -> Result<Unlock, Error> {
        #[derive(Deserialize)]
        struct Answer {
            status: u8,
        }
        let request = Request {
            resource,
            owner,
            expiry: None,
        };
        let response = self.send("/v1.0-alpha1/unlock", &request).await?;
        let http_status = response.status().as_u16();
        let answer: Answer = response.json().await?;
        match answer.status {
            0 => Ok(Unlock::Done),
            1 => Ok(Unlock::NotHeld),
            2 => Ok(Unlock::HeldByAnother),
            status => Err(Error::Api {
                code: "ERR_UNLOCK".to_owned(),
                message: format!("the lock store failed with its status {status}"),
                status: http_status,
            }),
        }
    }

    async fn send(&self, path: &'static str, request: &Request<'_>) -> Result<crate::client::Response, Error> {
        let api = Api::new(Method::POST, path).segment(&self.name);
        api.json(request).send().await
    }
}

#[derive(Serialize)]
struct Request<'a> {
    #[serde(rename = "resourceId")]
    resource: &'a str,
    #[serde(rename = "lockOwner")]
    owner: &'a str,
    #[serde(rename = "expiryInSeconds", skip_serializing_if = "Option::is_none")]
    expiry: Option<u64>,
}

impl Lock {
    /// The resource that is locked.
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// The owner that holds it.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Gives it back.
    pub async fn unlock(self) -> Result<Unlock, Error> {
        self.store.unlock(&self.resource, &self.owner).await
    }
}
