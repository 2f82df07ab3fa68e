//! Requests to a handler.

use std::{borrow::Cow, cell::OnceCell, fmt};

use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    Body, BodyError, DEFAULT_BODY_LIMIT, Error, HeaderMap, IfMatch, Method, Multipart, Uri, cookies, host, json_path,
    multipart,
    params::{self, ParamError},
    pattern::{Pattern, cut},
    percent, written,
};

/// A request. HeaderMap and body are fetched from the host when they are first asked for.
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
///     let order: Order = request.json().await?;     // 422 unless it is an order
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
    headers: OnceCell<HeaderMap>,
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
    pub fn headers(&self) -> &HeaderMap {
        self.headers.get_or_init(|| self.incoming.headers())
    }

    /// The first value of a header, if it is there and is UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        written::text(self.headers(), name)
    }

    /// A parameter of the route's path, decoded.
    pub fn param(&self, name: &str) -> Option<Cow<'_, str>> {
        self.path_params()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    /// The parameters of the route's path as a type: a struct or a map by their names, a tuple by their order, or the
    /// only one as it is. 400 when they do not fit it, with the parameter's name in `field`.
    pub fn params<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Error> {
        params::from_path(
            self.path_params()
                .map(|(name, value)| (Cow::Borrowed(name), value)),
        )
        .map_err(|error| misfit(400, "path parameter", error))
    }

    /// The first value of a query parameter, decoded.
    pub fn query_param(&self, name: &str) -> Option<Cow<'_, str>> {
        params::query_pairs(self.query_string())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }

    /// The query parameters as a type; one that comes more than once is a `Vec`, which needs `#[serde(default)]` when
    /// it may not come at all. 400 when they do not fit it, with the parameter's name in `field`.
    ///
    /// ```
    /// use serde::Deserialize;
    /// use wasmgate_sdk::{Error, Request, Router, testing};
    ///
    /// #[derive(Deserialize)]
    /// struct Search { #[serde(default)] tag: Vec<String>, page: Option<u32> }
    ///
    /// fn search(request: Request) -> Result<String, Error> {
    ///     let Search { tag, page } = request.query()?;
    ///     Ok(format!("{} on page {}", tag.join("+"), page.unwrap_or(1)))
    /// }
    ///
    /// let app = Router::new().get("/", search);
    /// assert_eq!(testing::call(&app, Request::get("/?tag=hot&tag=milk")).text(), "hot+milk on page 1");
    /// let wrong = testing::call(&app, Request::get("/?page=x"));
    /// assert_eq!((wrong.status().as_u16(), &wrong.json::<serde_json::Value>()["field"]), (400, &"page".into()));
    /// ```
    pub fn query<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Error> {
        params::from_pairs(params::query_pairs(self.query_string()))
            .map_err(|error| misfit(400, "query parameter", error))
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

    /// The whole body as JSON: 415 when its content type says that it is something else, 400 when it is none, and 422,
    /// with the way to the member in `field`, when it does not fit the type.
    pub async fn json<T: DeserializeOwned>(&mut self) -> Result<T, Error> {
        if let Some(kind) = self.content_type()
            && !is_json(kind)
        {
            return Err(Error::new(
                415,
                "the body has to be JSON: `content-type: application/json`",
            ));
        }
        let body = self.bytes().await?;
        serde_json::from_slice(&body).map_err(|error| no_json(&body, &error))
    }

    /// The whole body as a form (`application/x-www-form-urlencoded`): 415 when it is none, and 422, with the field's
    /// name in `field`, when it does not fit the type. A field that comes more than once is a `Vec`.
    ///
    /// ```
    /// use serde::Deserialize;
    /// use wasmgate_sdk::{Error, Redirect, Request, Router, testing};
    ///
    /// #[derive(Deserialize)]
    /// struct Order { drink: String, cups: u8 }
    ///
    /// async fn order(mut request: Request) -> Result<Redirect, Error> {
    ///     let Order { drink, cups } = request.form().await?;
    ///     Ok(Redirect::to(format!("/orders/{drink}-{cups}")))
    /// }
    ///
    /// let app = Router::new().post("/", order);
    /// let post = |body| {
    ///     let kind = "application/x-www-form-urlencoded";
    ///     testing::call(&app, Request::post("/").with_header("content-type", kind).with_body(body))
    /// };
    /// assert_eq!(post("drink=latte&cups=2").header("location"), Some("/orders/latte-2"));
    /// assert_eq!(post("drink=latte&cups=two").status(), 422);
    /// ```
    pub async fn form<T: DeserializeOwned>(&mut self) -> Result<T, Error> {
        if self.content_type() != Some(FORM) {
            return Err(Error::new(
                415,
                format!("the body has to be a form: `content-type: {FORM}`"),
            ));
        }
        let body = self.text().await?;
        // Owned, as the type may not borrow from a body that ends here.
        let owned = |(name, value): (Cow<'_, str>, Cow<'_, str>)| (name.into_owned().into(), value.into_owned().into());
        params::from_pairs(params::query_pairs(&body).map(owned)).map_err(|error| misfit(422, "field", error))
    }

    /// The body as a form with files (`multipart/form-data`), to read part by part; 415 when it is none.
    pub fn multipart(&mut self) -> Result<Multipart, Error> {
        let kind = self.header("content-type").unwrap_or_default();
        let boundary = multipart::parameter(kind, "boundary");
        match boundary {
            Some(boundary) if self.content_type() == Some("multipart/form-data") && fits(&boundary) => {
                let limit = self.body_limit;
                Ok(Multipart::new(self.take_body(), &boundary, limit))
            }
            _ => Err(Error::new(
                415,
                "the body has to be a form: `content-type: multipart/form-data; boundary=…`",
            )),
        }
    }

    /// The value of a cookie, decoded.
    pub fn cookie(&self, name: &str) -> Option<Cow<'_, str>> {
        self.cookies()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    /// All cookies, their values decoded; those of the same name come in the browser's order.
    pub fn cookies(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        let headers = self.headers().get_all("cookie").iter();
        headers
            .filter_map(|value| str::from_utf8(value.as_bytes()).ok())
            .flat_map(cookies::pairs)
            .map(|(name, value)| (name, percent::decode(value)))
    }

    /// The client's `if-match`; 428 when it sent none.
    pub fn if_match(&self) -> Result<IfMatch, Error> {
        let values: Vec<&str> = self
            .headers()
            .get_all("if-match")
            .iter()
            .map(|value| str::from_utf8(value.as_bytes()).unwrap_or_default())
            .collect();
        match values.as_slice() {
            [] => Err(Error::new(
                428,
                "send `if-match` with the entity tag of what you have",
            )),
            values => Ok(IfMatch(values.join(","))),
        }
    }

    /// Path and query as `http`'s type; `/` for a target that is none, such as that of `OPTIONS *`.
    pub fn uri(&self) -> Uri {
        Uri::try_from(self.target.as_str()).unwrap_or_default()
    }

    /// The body's content type without its parameters, as it stands.
    fn content_type(&self) -> Option<&str> {
        let kind = self.header("content-type")?;
        Some(cut(kind, b';').0.trim())
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

/// The content type of a form.
const FORM: &str = "application/x-www-form-urlencoded";

/// Returns whether a boundary is one (RFC 2046, section 5.1.1).
fn fits(boundary: &str) -> bool {
    (1..=70).contains(&boundary.len())
}

fn is_json(kind: &str) -> bool {
    let kind = kind.to_ascii_lowercase();
    kind == "application/json" || kind == "text/json" || kind.ends_with("+json")
}

/// A problem that names the value that does not fit.
fn misfit(status: u16, what: &str, error: ParamError) -> Error {
    match &error.field {
        Some(field) => Error::new(status, format!("{what} `{field}`: {error}")).with("field", field),
        None => Error::new(status, format!("{what}s: {error}")),
    }
}

/// A problem that names the member that does not fit, if the body is JSON at all.
fn no_json(body: &[u8], error: &serde_json::Error) -> Error {
    if !error.is_data() {
        return Error::bad_request(format!("the body is no JSON: {error}"));
    }
    match json_path::of(body, error).as_str() {
        "" => Error::new(422, format!("the JSON body: {error}")),
        field => Error::new(422, format!("the JSON body: `{field}`: {error}")).with("field", field),
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
