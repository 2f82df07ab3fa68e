//! A bucket: the package's keys in a state store, accessed by calls of the Dapr API in the package's name.

use std::sync::Arc;

use axum::body::Body;
use http::{Method, Request, Response, StatusCode, header::ETAG};
use serde::Serialize;
use serde_json::value::RawValue;
use wasmgate_common::path::encode_component;
use wasmgate_dapr::StateKeys;

use super::{
    Error,
    value::{decode, encode},
};
use crate::{
    account::{Charge, Kept},
    config::{self, KeyValue},
    egress::DaprDoor,
    interfaces::answer,
};

/// The most that writing a value takes, in times its length: itself, and a third more as JSON in a call.
pub(super) const OF_A_WRITE: usize = 4;

/// A bucket of one instance. Cloning copies a pointer.
#[derive(Clone)]
pub(super) struct Bucket(Arc<Opened>);

struct Opened {
    place: config::Bucket,
    door: DaprDoor,
    kept: Kept,
}

/// A value and its version.
pub(super) struct Item {
    pub(super) value: Vec<u8>,
    pub(super) etag: String,
    /// Counts the value as the instance's memory.
    pub(super) charge: Charge,
}

/// The version that a key must have to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Version {
    /// Any, or none.
    Any,
    /// None: the key is not there.
    Absent,
    /// That of this ETag.
    Is(String),
}

/// What became of a write that wants a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Done,
    /// The key has another version.
    Conflict,
}

/// An item of `POST /v1.0/state/{store}`.
#[derive(Serialize)]
pub(super) struct Save {
    key: String,
    value: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    options: Option<Options>,
}

#[derive(Serialize)]
struct Options {
    concurrency: &'static str,
}

impl Bucket {
    /// Opens the bucket of this name, if the package may.
    pub(super) fn open(name: &str, door: DaprDoor, kept: Kept) -> Result<Self, Error> {
        let granted = &door.account().config.keyvalue;
        if granted.is_none() {
            return Err(Error::AccessDenied);
        }
        let place = granted.bucket(name).cloned().ok_or(Error::NoSuchStore)?;
        Ok(Self(Arc::new(Opened { place, door, kept })))
    }

    /// Counts bytes that are kept for the guest.
    pub(super) fn charge(&self, bytes: usize) -> Result<Charge, Error> {
        self.0.kept.charge(bytes).map_err(Error::other)
    }

    /// The value under a key.
    pub(super) async fn get(&self, key: &str) -> Result<Option<Item>, Error> {
        let response = self
            .call(Method::GET, &self.key_path(key)?, Body::empty())
            .await?;
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(None);
        }
        let etag = response
            .headers()
            .get(ETAG)
            .and_then(|etag| etag.to_str().ok());
        let etag = etag.unwrap_or_default().to_owned();
        let (json, charge) = self.read(response).await?;
        Ok(Some(Item {
            value: decode(&json),
            etag,
            charge,
        }))
    }

    /// Returns whether there is a value under a key.
    pub(super) async fn exists(&self, key: &str) -> Result<bool, Error> {
        let response = self
            .call(Method::GET, &self.key_path(key)?, Body::empty())
            .await?;
        Ok(response.status() != StatusCode::NO_CONTENT)
    }

    /// Deletes a key, if it is there.
    pub(super) async fn delete(&self, key: &str) -> Result<(), Error> {
        let path = self.key_path(key)?;
        self.call(Method::DELETE, &path, Body::empty())
            .await
            .map(drop)
    }

    /// Writes a value under a key that has this version.
    ///
    /// Not every store beside a sidecar says in a way that can be read that a key had another version: where a write
    /// failed and the key has one, it was that. Where the store was not reached, or not in time, nobody knows, and it
    /// is an error.
    pub(super) async fn set(&self, key: &str, value: &[u8], version: Version) -> Result<Written, Error> {
        let _while_it_is_written = self.charge(value.len().saturating_mul(OF_A_WRITE))?;
        let item = self.item(key, value, version.clone())?;
        let error = match self.save(&[item]).await {
            Err(error) if !error.is_of_the_way() => error,
            written => return written,
        };
        let now = self.get(key).await?;
        let now = now.map_or(Version::Absent, |item| Version::Is(item.etag));
        if version == Version::Any {
            return match now {
                // Redis takes a key that was once written by its version only so from then on.
                Version::Is(_) => self.save(&[self.item(key, value, now)?]).await,
                _ => Err(error),
            };
        }
        if now == version {
            Err(error)
        } else {
            Ok(Written::Conflict)
        }
    }

    /// An item of [`save`](Self::save).
    pub(super) fn item(&self, key: &str, value: &[u8], version: Version) -> Result<Save, Error> {
        let value = encode(value, self.0.door.is_verbatim())?;
        let (etag, first) = match version {
            Version::Any => (None, false),
            Version::Absent => (None, true),
            Version::Is(etag) => (Some(etag), true),
        };
        Ok(Save {
            key: self.key(key)?,
            value,
            etag,
            options: first.then_some(Options {
                concurrency: "first-write",
            }),
        })
    }

    /// Writes all items.
    pub(super) async fn save(&self, items: &[Save]) -> Result<Written, Error> {
        let body = serde_json::to_vec(items).map_err(Error::other)?;
        let response = self
            .answer(Method::POST, &self.path(""), Body::from(body))
            .await?;
        match response.status() {
            StatusCode::CONFLICT => Ok(Written::Conflict),
            status if status.is_success() => Ok(Written::Done),
            _ => Err(Error::of(response).await),
        }
    }

    /// Posts to an operation of the store, and reads its answer; empty if there is none.
    pub(super) async fn post(&self, operation: &str, body: Vec<u8>) -> Result<(Vec<u8>, Charge), Error> {
        let _while_it_is_sent = self.charge(body.len())?;
        let response = self
            .call(Method::POST, &self.path(operation), Body::from(body))
            .await?;
        self.read(response).await
    }

    /// Keys of the bucket, after the place that another page ended at.
    pub(super) async fn keys(&self, after: Option<i64>) -> Result<StateKeys, Error> {
        let config::Bucket { store, prefix } = &self.0.place;
        let grants = self.granted().grants().ok_or(Error::AccessDenied)?;
        let listed = self.0.door.state_keys(grants, (store, prefix), after).await;
        let mut keys = match listed {
            Ok(keys) => keys,
            Err(response) => return Err(Error::of(response).await),
        };
        for key in &mut keys.keys {
            key.drain(..prefix.len().min(key.len()));
        }
        Ok(keys)
    }

    /// The store's name for a key.
    pub(super) fn key(&self, key: &str) -> Result<String, Error> {
        if key.is_empty() {
            return Err(Error::other("the key is empty; give one"));
        }
        let key = format!("{}{key}", self.0.place.prefix);
        if key.contains('\0') || key.split('/').any(|part| matches!(part, "." | "..")) {
            return Err(Error::other(format!(
                "{key:?} can be no key: Dapr's API has it in a path, where no part is `.` or `..`, and no NUL is in one"
            )));
        }
        Ok(key)
    }

    /// The bucket's name for a key of the store.
    pub(super) fn own_key<'k>(&self, key: &'k str) -> &'k str {
        key.strip_prefix(&self.0.place.prefix).unwrap_or(key)
    }

    fn granted(&self) -> &KeyValue {
        &self.0.door.account().config.keyvalue
    }

    fn path(&self, more: &str) -> String {
        format!(
            "/v1.0/state/{}{more}",
            encode_component(&self.0.place.store)
        )
    }

    fn key_path(&self, key: &str) -> Result<String, Error> {
        Ok(self.path(&format!("/{}", encode_component(&self.key(key)?))))
    }

    /// Calls the API; an answer that is a failure is an error.
    async fn call(&self, method: Method, path: &str, body: Body) -> Result<Response<Body>, Error> {
        let response = self.answer(method, path, body).await?;
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(Error::of(response).await)
        }
    }

    async fn answer(&self, method: Method, path: &str, body: Body) -> Result<Response<Body>, Error> {
        let grants = self.granted().grants().ok_or(Error::AccessDenied)?;
        let request = Request::builder().method(method).uri(path);
        let request = request.body(body).map_err(Error::other)?;
        Ok(self.0.door.call(grants, request).await)
    }

    async fn read(&self, response: Response<Body>) -> Result<(Vec<u8>, Charge), Error> {
        answer::whole(response, &self.0.kept)
            .await
            .map_err(Error::Other)
    }
}
