//! Makes events of what apps publish.

use crate::{
    app::AppId,
    error::ApiError,
    event::{self, Event, Metadata, Publication},
    protocol::{
        metadata::{expiry, flag},
        trace::Trace,
    },
    time::rfc3339,
};

const METADATA: &str = "ERR_PUBSUB_REQUEST_METADATA";

/// One app's call to publish: where to, and within which trace.
pub(crate) struct Publisher<'a> {
    pub(crate) app: &'a AppId,
    pub(crate) pubsub: &'a str,
    pub(crate) topic: &'a str,
    pub(crate) trace: Trace<'a>,
}

impl Publisher<'_> {
    /// Makes an event of a body; its metadata may override attributes of the envelope.
    pub(crate) fn event(&self, content_type: &str, metadata: Metadata, body: &[u8]) -> Result<Event, ApiError> {
        let of = |name: &str| {
            let found = metadata
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.as_str())
        };
        let raw = flag(of("rawPayload"));
        let raw = raw.map_err(|wrong| ApiError::new(400, METADATA, format!("rawPayload {wrong}")))?;
        let expires_at = of("ttlInSeconds").map(|ttl| expiry(ttl, METADATA));
        let expires_at = expires_at
            .transpose()
            .map_err(|error| ApiError::new(400, METADATA, error.message()))?
            .flatten();
        let Self {
            app,
            pubsub,
            topic,
            trace,
        } = self;
        let (traceparent, tracestate) = (trace.parent_or_new(), trace.state);
        let publication = Publication {
            source: app.as_str(),
            pubsub,
            topic,
            content_type,
            traceparent: &traceparent,
            tracestate,
            metadata: &metadata,
        };
        let data = if raw {
            body.to_vec().into()
        } else {
            let envelope = event::wrap(&publication, body).and_then(|mut event| {
                if let Some(at) = expires_at {
                    let at = serde_json::value::to_raw_value(&rfc3339(at))?;
                    event.insert("expiration".to_owned(), at);
                }
                Ok(event::json_of(&event)?)
            });
            envelope.map_err(|error| ApiError::new(400, "ERR_PUBSUB_CLOUD_EVENTS_SER", error.to_string()))?
        };
        let traceparent = publication
            .overridden("traceparent")
            .unwrap_or(&traceparent)
            .to_owned();
        Ok(Event {
            pubsub: (*pubsub).to_owned(),
            topic: (*topic).to_owned(),
            data,
            content_type: content_type.to_owned(),
            raw,
            traceparent: Some(traceparent),
            tracestate: Some(tracestate.to_owned()),
            expires_at,
            metadata,
        })
    }
}
