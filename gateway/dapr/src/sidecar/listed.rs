//! The subscriptions that the sidecar lists.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use serde::Deserialize;

use super::client::Client;

/// The time for which a list is good for events of subscriptions that the sidecar declares.
const LISTED_FOR: Duration = Duration::from_secs(5);

/// A subscription as the sidecar lists it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Listed {
    #[serde(default)]
    pub(super) pubsubname: String,
    #[serde(default)]
    pub(super) topic: String,
    #[serde(default)]
    pub(super) rules: Vec<Rule>,
}

/// A path to which events of a subscription go.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Rule {
    #[serde(default)]
    pub(super) path: String,
}

/// The last list, and when it was fetched.
#[derive(Debug, Default)]
pub(super) struct Lists(Mutex<Option<(Instant, Arc<Vec<Listed>>)>>);

impl Lists {
    /// Returns the subscriptions that the sidecar lists, at most [`LISTED_FOR`] old; none if it does not answer.
    pub(super) async fn recent(&self, client: &Client) -> Option<Arc<Vec<Listed>>> {
        if let Some((at, listed)) = &*self.0.lock()
            && at.elapsed() < LISTED_FOR
        {
            return Some(listed.clone());
        }
        let now = Arc::new(fetch(client).await?);
        *self.0.lock() = Some((Instant::now(), now.clone()));
        Some(now)
    }
}

/// Fetches the subscriptions that the sidecar lists; none if it does not answer.
pub(super) async fn fetch(client: &Client) -> Option<Vec<Listed>> {
    #[derive(Deserialize)]
    struct Metadata {
        #[serde(default)]
        subscriptions: Vec<Listed>,
    }
    let body = client.get("/v1.0/metadata").await?;
    let metadata: Metadata = serde_json::from_slice(&body).ok()?;
    Some(metadata.subscriptions)
}
