//! A call that is being put together.

use std::{borrow::Cow, fmt, time::Duration};

use http::{
    HeaderName, HeaderValue,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use serde::Serialize;

use super::{Error, Response, url::Url};
use crate::{BodyWriter, HeaderMap, Method, host, stream::Payload, written};

/// A request to send outward; see [`client`](crate::client).
#[must_use = "a call is made when it is sent"]
pub struct Call {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Payload,
    pub(crate) timeouts: Timeouts,
    /// The first mistake in putting it together, told when it is sent.
    mistake: Option<Error>,
}

/// The times to wait; the host's own limits hold where nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Timeouts {
    pub(crate) connect: Option<Duration>,
    pub(crate) first_byte: Option<Duration>,
    pub(crate) between_bytes: Option<Duration>,
}

impl Call {
    pub(super) fn new(method: Method, url: &str) -> Self {
        let (url, mistake) = match Url::parse(url) {
            Ok(url) => (url, None),
            Err(error) => (Url::default(), Some(error)),
        };
        Call {
            method,
            url,
            headers: HeaderMap::new(),
            payload: Payload::empty(),
            timeouts: Timeouts::default(),
            mistake,
        }
    }

    /// Adds a header. `host` and those of the connection belong to the host and are refused by it.
    pub fn header(mut self, name: impl TryInto<HeaderName>, value: impl TryInto<HeaderValue>) -> Self {
        match written::field(name, value) {
            Ok((name, value)) => {
                self.headers.append(name, value);
            }
            Err(mistake) => {
                self.mistake.get_or_insert(Error::InvalidRequest(mistake));
            }
        }
        self
    }

    /// A body of bytes or text, with `content-length`; its content type is for the caller to say.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        self.headers
            .insert(CONTENT_LENGTH, written::number(body.len()));
        self.payload = Payload::Full(Cow::Owned(body));
        self
    }

    /// A body of a value as JSON.
    pub fn json(mut self, value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => {
                self.headers
                    .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                self.body(body)
            }
            Err(error) => {
                self.mistake.get_or_insert(Error::Json(error));
                self
            }
        }
    }

    /// A body written piece by piece, while the answer is waited for and read.
    ///
    /// ```
    /// # use wasmgate_sdk::{Error, client};
    /// # async fn upload() -> Result<(), Error> {
    /// let response = client::put("https://files.example.com/log").stream(|mut body| async move {
    ///     for line in 0..1_000 {
    ///         body.write(format!("{line}\n")).await?;
    ///     }
    ///     Ok(())
    /// });
    /// response.send().await?.error_for_status()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn stream<F, Fut>(mut self, produce: F) -> Self
    where
        F: FnOnce(BodyWriter) -> Fut + 'static,
        Fut: Future<Output = Result<(), crate::Error>> + 'static,
    {
        self.payload = Payload::stream(produce);
        self
    }

    /// Sets the longest time to make the connection.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.connect = Some(timeout);
        self
    }

    /// Sets the longest time to the head of the answer.
    pub fn first_byte_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.first_byte = Some(timeout);
        self
    }

    /// Sets the longest pause between two pieces of the body.
    pub fn between_bytes_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.between_bytes = Some(timeout);
        self
    }

    /// Sends the request and waits for the head of its answer.
    pub async fn send(mut self) -> Result<Response, Error> {
        match self.mistake.take() {
            Some(mistake) => Err(mistake),
            None => {
                self.say_that_nothing_follows();
                host::send(self).await
            }
        }
    }

    /// A method that most often has a body says so when it has none (RFC 9110, section 8.6): without a length some
    /// servers answer 411, or wait for more.
    fn say_that_nothing_follows(&mut self) {
        let expects = [Method::POST, Method::PUT, Method::PATCH].contains(&self.method);
        let empty = matches!(&self.payload, Payload::Full(bytes) if bytes.is_empty());
        if expects && empty {
            self.headers
                .insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("method", &self.method)
            .field("url", &self.url)
            .field("headers", &self.headers)
            .field("timeouts", &self.timeouts)
            .finish_non_exhaustive()
    }
}
