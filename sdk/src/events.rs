//! Server-sent events (the HTML standard, section 9.2).

use std::time::Duration;

use serde::Serialize;

use crate::{BodyError, stream::BodyWriter};

/// One server-sent event.
///
/// ```
/// use wasmgate_sdk::Event;
///
/// let event = Event::data("brewing\nalmost done").name("status").id("7");
/// assert_eq!(event.to_string(), "event: status\nid: 7\ndata: brewing\ndata: almost done\n\n");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Event {
    name: Option<String>,
    id: Option<String>,
    retry: Option<Duration>,
    data: String,
}

impl Event {
    /// An event with text, of any number of lines.
    pub fn data(text: impl Into<String>) -> Self {
        Event {
            data: text.into(),
            ..Event::default()
        }
    }

    /// An event with a value as JSON.
    pub fn json(value: &impl Serialize) -> Result<Self, serde_json::Error> {
        serde_json::to_string(value).map(Event::data)
    }

    /// The event's type; browsers say `message` when there is none.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(one_line(name.into()));
        self
    }

    /// The id a browser sends back as `last-event-id` when it connects again.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(one_line(id.into()));
        self
    }

    /// Sets how long a browser waits before it connects again; whole milliseconds.
    pub fn retry(mut self, delay: Duration) -> Self {
        self.retry = Some(delay);
        self
    }
}

/// The event as it stands on the wire.
impl std::fmt::Display for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(name) = &self.name {
            writeln!(f, "event: {name}")?;
        }
        if let Some(id) = &self.id {
            writeln!(f, "id: {id}")?;
        }
        if let Some(delay) = self.retry {
            writeln!(f, "retry: {}", delay.as_millis())?;
        }
        // A carriage return ends a line too, alone or before a line feed.
        for line in self.data.replace("\r\n", "\n").split(['\n', '\r']) {
            writeln!(f, "data: {line}")?;
        }
        writeln!(f)
    }
}

/// The writing end of an event stream, from [`Response::events`](crate::Response::events).
pub struct EventWriter {
    body: BodyWriter,
}

impl EventWriter {
    pub(crate) fn new(body: BodyWriter) -> Self {
        EventWriter { body }
    }

    /// Sends one event at once; waits while the client has no room for it.
    pub async fn send(&mut self, event: Event) -> Result<(), BodyError> {
        self.send_text(&event.to_string()).await
    }

    /// Sends a comment, which clients ignore: it keeps an idle connection open and finds out
    /// whether the client is still there.
    pub async fn keep_alive(&mut self) -> Result<(), BodyError> {
        self.send_text(":\n\n").await
    }

    async fn send_text(&mut self, text: &str) -> Result<(), BodyError> {
        self.body.write(text).await?;
        self.body.flush().await
    }
}

/// A field's value may hold no line end: it would begin another field.
fn one_line(text: String) -> String {
    text.replace(['\n', '\r', '\0'], " ")
}
