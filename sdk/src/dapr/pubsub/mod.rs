//! Publish and subscribe.
//!
//! Publishing goes through [`PubSub`]; what a package subscribes to is said by its router, with
//! [`Router::subscribe`](crate::Router::subscribe) or a [`Subscription`].

mod event;
mod message;
mod subscription;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

pub use event::{Bytes, CloudEvent};
pub use message::Message;
pub use subscription::Subscription;

use super::{Error, api::Api};
use crate::Method;

/// A pub/sub component, from [`dapr::pubsub`](fn@crate::dapr::pubsub).
///
/// A publish that has returned `Ok` is durable: each app that subscribes gets it at least once.
///
/// ```
/// # use std::time::Duration;
/// # use wasmgate_sdk::{Error, dapr::{self, pubsub::Message}};
/// # async fn f() -> Result<(), Error> {
/// let pubsub = dapr::pubsub("pubsub");
/// pubsub.publish("orders", &serde_json::json!({"drink": "latte"})).await?;
/// pubsub.send("orders", Message::text("a plain one").ttl(Duration::from_secs(60))).await?;
/// pubsub.send_all("orders", [Message::json(&1), Message::json(&2)]).await?;
/// # Ok(())
/// # }
/// # let dapr = wasmgate_sdk::testing::dapr();
/// # wasmgate_sdk::testing::block_on(f()).unwrap();
/// # assert_eq!(dapr.published("pubsub", "orders").len(), 4);
/// ```
#[derive(Clone, Debug)]
pub struct PubSub {
    component: Cow<'static, str>,
}

/// An entry of a bulk publish that was not taken.
///
/// ```
/// # use wasmgate_sdk::dapr::{Error, pubsub::FailedEntry};
/// /// Which messages of a bulk to publish again.
/// fn missed(error: &Error) -> Vec<usize> {
///     match error {
///         Error::Bulk { failed } => failed.iter().filter_map(FailedEntry::index).collect(),
///         _ => Vec::new(),
///     }
/// }
/// # let _ = missed;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct FailedEntry {
    /// The entry's id: its place in the bulk, from 0.
    #[serde(rename = "entryId")]
    pub entry_id: String,
    /// The reason why it was not taken.
    #[serde(default)]
    pub error: String,
}

impl FailedEntry {
    /// The entry's place in the bulk, from 0.
    pub fn index(&self) -> Option<usize> {
        self.entry_id.parse().ok()
    }
}

impl PubSub {
    pub(super) fn new(component: Cow<'static, str>) -> Self {
        PubSub { component }
    }

    /// Publishes a value as JSON.
    pub async fn publish(&self, topic: &str, data: &(impl Serialize + ?Sized)) -> Result<(), Error> {
        self.send(topic, Message::json(data)).await
    }

    /// Publishes a message.
    pub async fn send(&self, topic: &str, message: Message) -> Result<(), Error> {
        let (content_type, body, metadata) = message.into_parts()?;
        self.api("/v1.0/publish", topic)
            .metadata(&metadata)
            .body(content_type, body)
            .send()
            .await?;
        Ok(())
    }

    /// Publishes several messages in one call; [`Error::Bulk`] names those that were not taken.
    pub async fn send_all(&self, topic: &str, messages: impl IntoIterator<Item = Message>) -> Result<(), Error> {
        let entries = messages
            .into_iter()
            .enumerate()
            .map(|(index, message)| message.into_entry(index.to_string()))
            .collect::<Result<Vec<_>, _>>()?;
        if entries.is_empty() {
            return Ok(());
        }
        self.api("/v1.0/publish/bulk", topic)
            .json(&entries)
            .send()
            .await?;
        Ok(())
    }

    fn api(&self, path: &'static str, topic: &str) -> Api {
        let api = Api::new(Method::POST, path).segment(&self.component);
        // A topic's slashes are part of the path.
        topic.split('/').fold(api, Api::segment)
    }
}
