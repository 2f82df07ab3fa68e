//! Cross-origin resource sharing (the Fetch standard, section 3.2).

use std::{rc::Rc, time::Duration};

use http::{HeaderValue, Method};

use super::Next;
use crate::{Answer, IntoAnswer, Request, Response};

/// Which pages of other origins may call, for [`Router::layer`](crate::Router::layer).
///
/// ```
/// use wasmgate_sdk::{Request, Router, layer::Cors, testing};
///
/// let cors = Cors::origins(["https://shop.example"]).methods("GET, PUT").headers("content-type");
/// let app = Router::new().put("/cup", |_| "filled").layer(cors.layer());
/// let from = |origin| Request::put("/cup").with_header("origin", origin);
/// let allowed = |request| {
///     let reply = testing::call(&app, request);
///     reply.header("access-control-allow-origin").map(str::to_owned)
/// };
/// assert_eq!(allowed(from("https://shop.example")).as_deref(), Some("https://shop.example"));
/// assert_eq!(allowed(from("https://other.example")), None);
/// ```
#[derive(Clone, Debug)]
pub struct Cors {
    /// `None`: all.
    origins: Option<Vec<&'static str>>,
    methods: &'static str,
    headers: &'static str,
    exposed: &'static str,
    with_credentials: bool,
    max_age: Option<Duration>,
}

impl Cors {
    /// Pages of these origins, such as `https://shop.example:8443`.
    pub fn origins(origins: impl IntoIterator<Item = &'static str>) -> Self {
        Cors {
            origins: Some(origins.into_iter().collect()),
            methods: "GET, HEAD, POST, PUT, PATCH, DELETE",
            headers: "",
            exposed: "",
            with_credentials: false,
            max_age: None,
        }
    }

    /// Pages of any origin; never with credentials.
    pub fn any() -> Self {
        Cors {
            origins: None,
            ..Cors::origins([])
        }
    }

    /// The methods, in place of GET, HEAD, POST, PUT, PATCH and DELETE.
    pub fn methods(mut self, methods: &'static str) -> Self {
        self.methods = methods;
        self
    }

    /// The headers that requests may have besides the simple ones.
    pub fn headers(mut self, headers: &'static str) -> Self {
        self.headers = headers;
        self
    }

    /// The headers of answers that pages may read besides the simple ones.
    pub fn expose(mut self, headers: &'static str) -> Self {
        self.exposed = headers;
        self
    }

    /// Lets pages of the named origins send cookies.
    pub fn with_credentials(mut self) -> Self {
        self.with_credentials = true;
        self
    }

    /// The time that browsers keep the answer to a preflight, in whole seconds.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// The layer. It answers preflights itself; the handlers see all other requests, whatever their origin.
    pub fn layer(self) -> impl Fn(Request, Next) -> Answer {
        let cors = Rc::new(self);
        move |request, next| {
            let origin = request.header("origin").map(str::to_owned);
            let is_preflight = origin.is_some()
                && *request.method() == Method::OPTIONS
                && request
                    .headers()
                    .contains_key("access-control-request-method");
            let cors = Rc::clone(&cors);
            match is_preflight {
                true => cors.preflight(origin.as_deref()).into_answer(),
                false => next
                    .run(request)
                    .map(move |response| cors.mark(response, origin.as_deref())),
            }
        }
    }

    fn preflight(&self, origin: Option<&str>) -> Response {
        let response = self.mark(Response::new(204), origin);
        if !response
            .headers()
            .contains_key("access-control-allow-origin")
        {
            return response;
        }
        let mut response = response.with_header("access-control-allow-methods", self.methods);
        if !self.headers.is_empty() {
            response = response.with_header("access-control-allow-headers", self.headers);
        }
        match self.max_age {
            Some(age) => response.with_header("access-control-max-age", age.as_secs()),
            None => response,
        }
    }

    fn mark(&self, mut response: Response, origin: Option<&str>) -> Response {
        let allowed = match (&self.origins, origin) {
            (None, _) => Some("*"),
            (Some(origins), Some(origin)) => origins.contains(&origin).then_some(origin),
            (Some(_), None) => None,
        };
        let headers = response.headers_mut();
        if self.origins.is_some() {
            // The answer is another for another origin.
            headers.append("vary", HeaderValue::from_static("origin"));
        }
        let Some(Ok(allowed)) = allowed.map(HeaderValue::from_str) else {
            return response;
        };
        headers.insert("access-control-allow-origin", allowed);
        if self.with_credentials && self.origins.is_some() {
            headers.insert(
                "access-control-allow-credentials",
                HeaderValue::from_static("true"),
            );
        }
        match self.exposed {
            "" => response,
            exposed => response.with_header("access-control-expose-headers", exposed),
        }
    }
}
