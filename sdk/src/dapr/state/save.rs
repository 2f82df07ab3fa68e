//! Options of a write.

use std::{borrow::Cow, time::Duration};

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::Etag;
use crate::dapr::{Error, metadata::Metadata};

/// The winner of two writers.
///
/// ```
/// # use wasmgate_sdk::dapr::state::{Concurrency, Save};
/// let save = Save::new("table-1", &"Ada").concurrency(Concurrency::FirstWrite);
/// # let _ = save;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concurrency {
    /// The first: a write fails unless its ETag is the value's, or there is no value yet.
    FirstWrite,
    /// The last: a write replaces whatever is there.
    LastWrite,
}

impl Concurrency {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Concurrency::FirstWrite => "first-write",
            Concurrency::LastWrite => "last-write",
        }
    }
}

/// The promise of a store with several copies.
///
/// ```
/// # use wasmgate_sdk::dapr::{self, state::Consistency};
/// let store = dapr::state("statestore").with_consistency(Consistency::Strong);
/// # let _ = store;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// A read may miss the newest write.
    Eventual,
    /// A read sees every write that was acknowledged before it.
    Strong,
}

impl Consistency {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Consistency::Eventual => "eventual",
            Consistency::Strong => "strong",
        }
    }
}

/// One write, for [`Store::save_all`](super::Store::save_all) and
/// [`Transaction::save`](super::Transaction::save).
///
/// ```
/// # use std::time::Duration;
/// # use wasmgate_sdk::{Error, dapr::{self, state::Save}};
/// # async fn f() -> Result<(), Error> {
/// let basket = Save::new("basket", &["latte"]).ttl(Duration::from_secs(3600));
/// let once = Save::new("first", &true).first_write();
/// let verbatim = Save::raw("page", r#"{"title":"as it stands"}"#);
/// dapr::state("statestore").save_all([basket, once, verbatim]).await?;
/// # Ok(())
/// # }
/// # let _dapr = wasmgate_sdk::testing::dapr();
/// # wasmgate_sdk::testing::block_on(f()).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "nothing is saved until it is given to a store"]
pub struct Save {
    key: String,
    /// As JSON; a value that cannot be written as such shows when it is sent.
    value: Result<Box<RawValue>, serde_json::Error>,
    etag: Option<Etag>,
    concurrency: Option<Concurrency>,
    consistency: Option<Consistency>,
    metadata: Metadata,
}

impl Save {
    /// A value as JSON.
    pub fn new(key: impl Into<String>, value: &(impl Serialize + ?Sized)) -> Self {
        Save::from_encoded(key.into(), to_raw_value(value))
    }

    /// JSON text as it stands; text that is not JSON is refused when it is sent.
    pub fn raw(key: impl Into<String>, json: impl Into<String>) -> Self {
        Save::from_encoded(key.into(), RawValue::from_string(json.into()))
    }

    /// Only in place of the value that has the ETag; [`Error::EtagMismatch`] if there is none, also of an ETag that
    /// the store cannot have given.
    pub fn if_match(mut self, etag: &Etag) -> Self {
        self.etag = Some(etag.clone());
        self.first_write()
    }

    /// [`Concurrency::FirstWrite`]: without an ETag, only if there is no value yet.
    pub fn first_write(self) -> Self {
        self.concurrency(Concurrency::FirstWrite)
    }

    /// Sets which writer wins; the component's default, most often the last, where nothing is said.
    pub fn concurrency(mut self, concurrency: Concurrency) -> Self {
        self.concurrency = Some(concurrency);
        self
    }

    /// Sets what the write waits for.
    pub fn consistency(mut self, consistency: Consistency) -> Self {
        self.consistency = Some(consistency);
        self
    }

    /// The value is gone after this long; whole seconds, rounded up.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.metadata.set_ttl(ttl);
        self
    }

    /// Metadata for the component, for example `partitionKey`.
    pub fn metadata(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.metadata.set(name, value);
        self
    }

    pub(super) fn into_request(self, default_consistency: Option<Consistency>) -> Result<Request, Error> {
        let mut request = Request::new(self.key)?;
        request.value = Some(self.value?);
        request.etag = self.etag.map(Etag::into_sent).transpose()?;
        request.metadata = self.metadata;
        request.options = Options::new(self.concurrency, self.consistency.or(default_consistency));
        Ok(request)
    }

    fn from_encoded(key: String, value: Result<Box<RawValue>, serde_json::Error>) -> Self {
        Save {
            key,
            value,
            etag: None,
            concurrency: None,
            consistency: None,
            metadata: Metadata::new(),
        }
    }
}

/// A write or a delete as it stands on the wire.
#[derive(Debug, Serialize)]
pub(super) struct Request {
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) etag: Option<String>,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    metadata: Metadata,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) options: Option<Options>,
}

#[derive(Debug, Serialize)]
pub(super) struct Options {
    #[serde(skip_serializing_if = "Option::is_none")]
    concurrency: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consistency: Option<&'static str>,
}

impl Request {
    pub(super) fn new(key: String) -> Result<Self, Error> {
        if key.is_empty() {
            return Err(Error::Invalid("a state key is empty".to_owned()));
        }
        Ok(Request {
            key,
            value: None,
            etag: None,
            metadata: Metadata::new(),
            options: None,
        })
    }
}

impl Options {
    pub(super) fn new(concurrency: Option<Concurrency>, consistency: Option<Consistency>) -> Option<Self> {
        (concurrency.is_some() || consistency.is_some()).then(|| Options {
            concurrency: concurrency.map(Concurrency::as_str),
            consistency: consistency.map(Consistency::as_str),
        })
    }
}
