//! The outbox: a transaction's changes and events are committed together.

use std::collections::HashMap;

use serde_json::value::RawValue;

use crate::{
    app::AppId,
    components::Outbox,
    error::ApiError,
    event::{self, Event, Metadata, Publication},
    protocol::{body::forms::SaveItem, trace::Trace},
};

/// Metadata of an operation whose value is not saved but published in the place of the one that is saved under its key.
const PROJECTION: &str = "outbox.projection";

/// Metadata of an operation that says nothing of its event, and attributes that none may set.
const NO_ATTRIBUTES: [&str; 10] = [
    "contenttype",
    "data",
    "data_base64",
    "datacontenttype",
    "id",
    "partitionkey",
    "pubsubname",
    "specversion",
    "topic",
    "ttlinseconds",
];

/// A transaction's projections by key.
#[derive(Default)]
pub(super) struct Projections(HashMap<String, SaveItem>);

impl Projections {
    /// Takes `item` if it is a projection.
    pub(super) fn take(&mut self, item: SaveItem) -> Option<SaveItem> {
        let marked = item.metadata.get(PROJECTION);
        // As the sidecar's kit reads flags.
        let truthy = |text: &String| {
            matches!(
                text.to_ascii_lowercase().as_str(),
                "1" | "t" | "true" | "y" | "yes" | "on"
            )
        };
        if marked.is_some_and(truthy) {
            self.0.insert(item.key.clone(), item);
            return None;
        }
        Some(item)
    }

    /// The event that the saving of `item` is published as.
    pub(super) fn event(
        &self,
        app: &AppId,
        trace: Trace<'_>,
        outbox: &Outbox,
        item: &SaveItem,
    ) -> Result<Event, ApiError> {
        let shown = self.0.get(&item.key).unwrap_or(item);
        let json = shown.value.as_deref().map_or("null", RawValue::get);
        let given = shown
            .metadata
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("contentType"));
        let content_type = given.map_or("application/json", |(_, kind)| kind);
        // A value that is no JSON by its type is a text; JSON has it in quotes.
        let text = || serde_json::from_str::<String>(json).ok();
        let body = match event::media_type(content_type).as_str() {
            "application/json" => json.to_owned(),
            _ => text().unwrap_or_else(|| json.to_owned()),
        };
        let (traceparent, tracestate) = (trace.parent_or_new(), trace.state);
        let publication = Publication {
            source: app.as_str(),
            pubsub: &outbox.pubsub,
            topic: &outbox.topic,
            content_type,
            traceparent: &traceparent,
            tracestate,
            metadata: &Metadata::new(),
        };
        let wrong = |error: &dyn std::fmt::Display| ApiError::new(400, "ERR_STATE_TRANSACTION", error.to_string());
        let mut envelope = event::wrap(&publication, body.as_bytes()).map_err(|error| wrong(&error))?;
        for (name, value) in &item.metadata {
            let lower = name.to_ascii_lowercase();
            if !lower.starts_with("outbox.") && !NO_ATTRIBUTES.contains(&lower.as_str()) {
                event::set(&mut envelope, name, value).map_err(|error| wrong(&error))?;
            }
        }
        Ok(Event {
            pubsub: outbox.pubsub.clone(),
            topic: outbox.topic.clone(),
            data: event::json_of(&envelope).map_err(|error| wrong(&error))?,
            content_type: event::CLOUD_EVENTS.to_owned(),
            raw: false,
            tracestate: Some(tracestate.to_owned()),
            traceparent: Some(traceparent),
            expires_at: None,
            metadata: Metadata::new(),
        })
    }
}
