//! Events, as a subscriber gets them.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{
    Deserialize, Deserializer,
    de::{
        DeserializeOwned,
        value::{BytesDeserializer, Error as ValueError},
    },
};
use serde_json::value::RawValue;

use crate::Error;

/// An event in its envelope (CloudEvents 1.0, with Dapr's additions).
///
/// `T` is what the data is: any type that serde reads. JSON data is read as JSON; text is a
/// `String`; bytes are [`Bytes`], or whatever JSON they hold. `serde_json::Value` takes
/// any JSON, `Box<serde_json::value::RawValue>` keeps it as text.
///
/// ```
/// use wasmgate_sdk::{Router, dapr::pubsub::CloudEvent};
/// # #[derive(serde::Deserialize)]
/// # struct Order { id: String }
///
/// let app = Router::new().subscribe("pubsub", "orders", |event: CloudEvent<Order>| {
///     println!("{}: order {} from {}", event.id, event.data.id, event.source);
/// });
/// # let _ = app;
/// ```
#[derive(Clone, Debug)]
pub struct CloudEvent<T> {
    /// Unique for its source; the same when the event is delivered again. Empty, as the next two, when the publisher
    /// made the envelope and left it out.
    pub id: String,
    /// The origin: the publisher's app-id where it does not say otherwise.
    pub source: String,
    /// The kind of event; `com.dapr.event.sent` where the publisher does not say otherwise.
    pub event_type: String,
    /// The pub/sub component it came through.
    pub pubsub_name: String,
    /// The topic it came through.
    pub topic: String,
    /// The subject, if it says.
    pub subject: Option<String>,
    /// The time at which it was made (RFC 3339), if it says.
    pub time: Option<String>,
    /// The data's content type, if it says.
    pub data_content_type: Option<String>,
    /// The W3C trace context it belongs to.
    pub trace_parent: Option<String>,
    /// Goes with the trace context.
    pub trace_state: Option<String>,
    /// The event's data.
    pub data: T,
}

/// Bytes, as the data of an event or a job that is not JSON.
///
/// ```
/// use wasmgate_sdk::{Router, dapr::pubsub::{Bytes, CloudEvent}};
///
/// let app = Router::new().subscribe("pubsub", "pictures", |event: CloudEvent<Bytes>| {
///     println!("{} bytes", event.data.0.len());
/// });
/// # let _ = app;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

/// The envelope as it stands on the wire.
#[derive(Deserialize)]
struct Envelope<'a> {
    /// The member that tells an envelope from other JSON.
    #[serde(rename = "specversion")]
    _version: String,
    // Dapr hands on what a publisher left out, or set to null.
    #[serde(default, deserialize_with = "or_empty")]
    id: String,
    #[serde(default, deserialize_with = "or_empty")]
    source: String,
    #[serde(default, rename = "type", deserialize_with = "or_empty")]
    event_type: String,
    #[serde(default, rename = "pubsubname", deserialize_with = "or_empty")]
    pubsub_name: String,
    #[serde(default, deserialize_with = "or_empty")]
    topic: String,
    subject: Option<String>,
    time: Option<String>,
    #[serde(rename = "datacontenttype")]
    data_content_type: Option<String>,
    #[serde(rename = "traceparent")]
    trace_parent: Option<String>,
    #[serde(rename = "tracestate")]
    trace_state: Option<String>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    data_base64: Option<String>,
}

impl<T: DeserializeOwned> CloudEvent<T> {
    /// Reads a delivery's body. 422 when it is no CloudEvent or its data is no `T`: Dapr tries
    /// such an event again, and moves it to the dead-letter topic after its retries.
    pub fn from_json(body: &[u8]) -> Result<Self, Error> {
        let envelope: Envelope<'_> =
            serde_json::from_slice(body).map_err(|error| malformed(format!("the event is no CloudEvent: {error}")))?;
        let data = envelope.read_data().map_err(|reason| {
            malformed(format!(
                "the data of event `{}` of topic `{}` is not what this subscriber takes: {reason}",
                envelope.id, envelope.topic
            ))
        })?;
        Ok(CloudEvent {
            id: envelope.id,
            source: envelope.source,
            event_type: envelope.event_type,
            pubsub_name: envelope.pubsub_name,
            topic: envelope.topic,
            subject: envelope.subject,
            time: envelope.time,
            data_content_type: envelope.data_content_type,
            trace_parent: envelope.trace_parent,
            trace_state: envelope.trace_state,
            data,
        })
    }
}

impl Envelope<'_> {
    fn read_data<T: DeserializeOwned>(&self) -> Result<T, String> {
        let Some(base64) = &self.data_base64 else {
            let json = self.data.map_or("null", RawValue::get);
            return serde_json::from_str(json).map_err(|error| error.to_string());
        };
        let bytes = BASE64_STANDARD
            .decode(base64)
            .map_err(|error| format!("data_base64: {error}"))?;
        // Bytes for a type that takes bytes; otherwise they have to be JSON, which is what a raw
        // payload most often is.
        T::deserialize(BytesDeserializer::<ValueError>::new(&bytes))
            .or_else(|_| serde_json::from_slice(&bytes))
            .map_err(|error| error.to_string())
    }
}

/// A text that may be null.
fn or_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.unwrap_or_default())
}

fn malformed(detail: String) -> Error {
    Error::new(422, detail)
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl serde::de::Visitor<'_> for Visitor {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes or text")
            }

            fn visit_str<E>(self, text: &str) -> Result<Bytes, E> {
                Ok(Bytes(text.as_bytes().to_vec()))
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }
        }

        deserializer.deserialize_bytes(Visitor)
    }
}
