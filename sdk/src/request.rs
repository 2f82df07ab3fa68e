//! Requests to a handler.

use std::{borrow::Cow, cell::OnceCell, fmt};

use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    Body, BodyError, DEFAULT_BODY_LIMIT, Error, Headers, Method, host, params,
    pattern::{Pattern, cut},
};

/// A request. Headers and body are fetched from the host when they are first asked for.
///
/// ```
/// use serde::Deserialize;
/// use wasmgate_sdk::{Error, Request, Response, Router, testing};
///
/// #[derive(Deserialize)]
/// struct Path { id: u64 }
/// #[derive(Deserialize)]
/// struct Order { drink: String }
///
/// async fn order(mut request: Request) -> Result<Response, Error> {
///     let Path { id } = request.params()?;          // 400 unless it is a number
///     let order: Order = request.json().await?;     // 400 unless it is an order
///     Ok(Response::text(format!("{id}: {}", order.drink)))
/// }
///
/// let app = Router::new().put("/orders/{id}", order);
/// let put = |path| Request::put(path).with_json(&serde_json::json!({"drink": "latte"}));
/// assert_eq!(testing::call(&app, put("/orders/7")).text(), "7: latte");
/// assert_eq!(testing::call(&app, put("/orders/x")).status(), 400);
/// ```
pub struct Request {
    method: Method,
    /// Path and query, as in the request line.
    target: String,
    pattern: Option<Pattern>,
    headers: OnceCell<Headers>,
    incoming: host::Incoming,
    body_limit: usize,
}

impl Request {
    pub(crate) fn new(method: Method, target: String, incoming: host::Incoming) -> Self {
        Request {
            method,
            target,
            pattern: None,
            headers: OnceCell::new(),
            incoming,
            body_limit: DEFAULT_BODY_LIMIT,
        }
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The path, as it stands in the request line: percent-encoded, without the query.
    pub fn path(&self) -> &str {
        self.target
            .split_once('?')
            .map_or(self.target.as_str(), |(path, _)| path)
    }

    /// The query without its `?`, percent-encoded; empty when there is none.
    pub fn query_string(&self) -> &str {
        cut(&self.target, b'?').1.unwrap_or_default()
    }

    /// The host and port the client asked for, if it said.
    pub fn authority(&self) -> Option<String> {
        self.incoming.authority()
    }

    /// The headers.
    pub fn headers(&self) -> &Headers {
        self.headers.get_or_init(|| self.incoming.headers())
    }

    /// The first value of a header, if it is there and is UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().get(name)
    }

    /// A parameter of the route's path, decoded.
    pub fn param(&self, name: &str) -> Option<Cow<'_, str>> {
        self.path_params()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    /// The parameters of the route's path as a type; 400 when they do not fit it.
    pub fn params<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Error> {
        params::from_pairs(
            self.path_params()
                .map(|(name, value)| (Cow::Borrowed(name), value)),
        )
        .map_err(|error| Error::bad_request(format!("path parameters: {error}")))
    }

    /// The first value of a query parameter, decoded.
    pub fn query_param(&self, name: &str) -> Option<Cow<'_, str>> {
        params::query_pairs(self.query_string())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }

    /// The query parameters as a type; 400 when they do not fit it.
    pub fn query<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Error> {
        params::from_pairs(params::query_pairs(self.query_string()))
            .map_err(|error| Error::bad_request(format!("query parameters: {error}")))
    }

    /// Sets how long a body [`bytes`](Self::bytes), [`text`](Self::text) and [`json`](Self::json)
    /// accept, in bytes, in place of [`DEFAULT_BODY_LIMIT`].
    pub fn limit_body(&mut self, bytes: usize) {
        self.body_limit = bytes;
    }

    /// The body, to read in pieces. It can be taken once; after that it is empty.
    pub fn take_body(&mut self) -> Body {
        Body::new(self.incoming.take_body())
    }

    /// The whole body; 413 when it is longer than the limit.
    pub async fn bytes(&mut self) -> Result<Vec<u8>, Error> {
        let limit = self.body_limit;
        self.take_body()
            .bytes(limit)
            .await
            .map_err(|error| match error {
                BodyError::TooLarge { limit } => Error::new(413, format!("the body is longer than {limit} bytes")),
                BodyError::Closed | BodyError::Failed(_) => {
                    Error::bad_request("the body could not be read to its end").with_source(error)
                }
            })
    }

    /// The whole body as text; 400 when it is not UTF-8.
    pub async fn text(&mut self) -> Result<String, Error> {
        String::from_utf8(self.bytes().await?).map_err(|_| Error::bad_request("the body is not UTF-8 text"))
    }

    /// The whole body as JSON, whatever its content type says; 400 when it does not fit the type.
    pub async fn json<T: DeserializeOwned>(&mut self) -> Result<T, Error> {
        serde_json::from_slice(&self.bytes().await?)
            .map_err(|error| Error::bad_request(format!("the JSON body: {error}")))
    }

    pub(crate) fn set_pattern(&mut self, pattern: Pattern) {
        self.pattern = Some(pattern);
    }

    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn incoming_mut(&mut self) -> &mut host::Incoming {
        &mut self.incoming
    }

    fn path_params(&self) -> impl Iterator<Item = (&'static str, Cow<'_, str>)> {
        self.pattern
            .into_iter()
            .flat_map(|pattern| pattern.params(self.path()))
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}
