//! One call of the Dapr API: its address, its token, and what its failures mean.

use std::borrow::Cow;

use serde::Serialize;

use super::{Error, metadata::Metadata};
use crate::{Method, client, host, percent_encode};

/// Dapr's address when the environment does not say: its own convention.
const DEFAULT_ENDPOINT: &str = "http://localhost:3500";

/// A call that is being put together.
pub(super) struct Api {
    method: Method,
    url: String,
    body: Option<Body>,
    if_match: Option<String>,
    /// The first mistake in putting it together, told when it is sent.
    mistake: Option<Error>,
}

struct Body {
    content_type: Cow<'static, str>,
    bytes: Vec<u8>,
}

impl Api {
    /// A call of a path such as `/v1.0/state`.
    pub(super) fn new(method: Method, path: &'static str) -> Self {
        let mut url = endpoint();
        url.push_str(path);
        Api {
            method,
            url,
            body: None,
            if_match: None,
            mistake: None,
        }
    }

    /// One more segment: a name as the caller gave it.
    pub(super) fn segment(mut self, name: &str) -> Self {
        // Either would end up as the address of something else.
        if matches!(name, "" | "." | "..") {
            let mistake = Error::Invalid(format!("`{name}` cannot name anything"));
            self.mistake.get_or_insert(mistake);
        }
        self.url.push('/');
        self.url.push_str(&percent_encode(name));
        self
    }

    /// More of the path, known to need no encoding.
    pub(super) fn path(mut self, path: &'static str) -> Self {
        self.url.push_str(path);
        self
    }

    /// A part of the query.
    pub(super) fn query(mut self, name: &str, value: &str) -> Self {
        self.url
            .push(if self.url.contains('?') { '&' } else { '?' });
        for part in [&percent_encode(name), "=", &percent_encode(value)] {
            self.url.push_str(part);
        }
        self
    }

    /// Metadata in the query, where it overrides any in the body.
    pub(super) fn metadata(mut self, metadata: &Metadata) -> Self {
        for (name, value) in metadata.iter() {
            self = self.query(&format!("metadata.{name}"), value);
        }
        self
    }

    pub(super) fn if_match(mut self, etag: &str) -> Self {
        self.if_match = Some(etag.to_owned());
        self
    }

    pub(super) fn json(mut self, value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(bytes) => self.body("application/json", bytes),
            Err(error) => {
                self.mistake.get_or_insert(Error::Json(error));
                self
            }
        }
    }

    pub(super) fn body(mut self, content_type: impl Into<Cow<'static, str>>, bytes: Vec<u8>) -> Self {
        self.body = Some(Body {
            content_type: content_type.into(),
            bytes,
        });
        self
    }

    /// Sends it; an answer that is an error becomes one.
    pub(super) async fn send(self) -> Result<client::Response, Error> {
        if let Some(mistake) = self.mistake {
            return Err(mistake);
        }
        let mut call = client::request(self.method, self.url);
        if let Some(etag) = self.if_match {
            call = call.header("if-match", etag);
        }
        if let Some(body) = self.body {
            call = call
                .header("content-type", body.content_type.as_bytes())
                .body(body.bytes);
        }
        let response = with_token(call).send().await?;
        if response.status().as_u16() < 400 {
            return Ok(response);
        }
        Err(Error::from_response(response).await)
    }
}

/// The address of an app's method, whose path and query are the caller's.
pub(super) fn invocation_url(app_id: &str, path: &str) -> String {
    let mut url = endpoint();
    for part in ["/v1.0/invoke/", &percent_encode(app_id), "/method"] {
        url.push_str(part);
    }
    if !path.starts_with('/') {
        url.push('/');
    }
    url.push_str(path);
    url
}

/// Adds the token that a sidecar may ask for.
pub(super) fn with_token(call: client::Call) -> client::Call {
    match host::environment("DAPR_API_TOKEN") {
        Some(token) if !token.is_empty() => call.header("dapr-api-token", token),
        _ => call,
    }
}

fn endpoint() -> String {
    let mut endpoint = host::environment("DAPR_HTTP_ENDPOINT").unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
    endpoint.truncate(endpoint.trim_end_matches('/').len());
    endpoint
}
