//! The table of routes, which finds the handler of a request.

use std::fmt;

use crate::{
    Answer, Error, IntoAnswer, Method, Request,
    dapr::{Deliveries, DeliverySource},
    pattern::Pattern,
};

/// A table of routes, in the gateway's own path syntax.
///
/// | in a pattern | stands for |
/// |---|---|
/// | `/orders` | itself |
/// | `/{id}` | one segment, not empty |
/// | `/{*rest}` | all that is left, perhaps nothing: `/f/{*rest}` takes `/f` too; only at the end |
///
/// Of the routes that fit path and method the most specific wins: segment by segment, static
/// before parameter before wildcard; of two alike, the first. When none fits the path the answer is
/// 404, when only the method does not fit it is 405 with `allow`. HEAD falls to GET.
///
/// A handler takes the [`Request`] and returns anything that is [`IntoResponse`], or a future of it.
///
/// ```
/// use wasmgate_sdk::{Error, Request, Router, testing};
///
/// async fn greet(request: Request) -> Result<String, Error> {
///     let name = request.param("name").ok_or_else(|| Error::not_found("nobody"))?;
///     Ok(format!("Hello, {name}!"))
/// }
///
/// let app = Router::new()
///     .get("/", |_| "a closure, at once")
///     .get("/async", |_| async { "a future" })
///     .get("/greet/{name}", greet);
/// assert_eq!(testing::call(&app, Request::get("/greet/Ada")).text(), "Hello, Ada!");
/// assert_eq!(testing::call(&app, Request::post("/async")).header("allow"), Some("GET, HEAD"));
/// ```
#[derive(Default)]
#[must_use = "a route is served by the router that is returned"]
pub struct Router {
    routes: Vec<Route>,
    /// Dapr's deliveries, ahead of the routes.
    deliveries: Option<Box<Deliveries>>,
}

struct Route {
    /// `None`: any.
    method: Option<Method>,
    pattern: Pattern,
    handler: Handler,
}

/// A boxed closure without captures allocates nothing, so a table costs one growing list.
type Handler = Box<dyn Fn(Request) -> Answer>;

impl Router {
    /// No routes.
    pub const fn new() -> Self {
        Router {
            routes: Vec::new(),
            deliveries: None,
        }
    }

    /// Answers GET, and HEAD unless that has a route of its own.
    pub fn get<R, M>(self, pattern: &'static str, handler: impl Fn(Request) -> R + 'static) -> Self
    where
        R: IntoAnswer<M>,
    {
        self.route(Method::GET, pattern, handler)
    }

    /// Answers POST.
    pub fn post<R, M>(self, pattern: &'static str, handler: impl Fn(Request) -> R + 'static) -> Self
    where
        R: IntoAnswer<M>,
    {
        self.route(Method::POST, pattern, handler)
    }

    /// Answers PUT.
    pub fn put<R, M>(self, pattern: &'static str, handler: impl Fn(Request) -> R + 'static) -> Self
    where
        R: IntoAnswer<M>,
    {
        self.route(Method::PUT, pattern, handler)
    }

    /// Answers PATCH.
    pub fn patch<R, M>(self, pattern: &'static str, handler: impl Fn(Request) -> R + 'static) -> Self
    where
        R: IntoAnswer<M>,
    {
        self.route(Method::PATCH, pattern, handler)
    }

    /// Answers DELETE.
    pub fn delete<R, M>(self, pattern: &'static str, handler: impl Fn(Request) -> R + 'static) -> Self
    where
        R: IntoAnswer<M>,
    {
        self.route(Method::DELETE, pattern, handler)
    }

    /// Answers a method.
    pub fn route<R, M>(self, method: Method, pattern: &'static str, handler: impl Fn(Request) -> R + 'static) -> Self
    where
        R: IntoAnswer<M>,
    {
        self.add(Some(method), pattern, handler)
    }

    /// Answers every method that has no route of its own on an equally specific pattern.
    pub fn any<R, M>(self, pattern: &'static str, handler: impl Fn(Request) -> R + 'static) -> Self
    where
        R: IntoAnswer<M>,
    {
        self.add(None, pattern, handler)
    }

    /// Adds the routes of another table, after its own.
    pub fn merge(mut self, other: Router) -> Self {
        self.routes.extend(other.routes);
        match (&mut self.deliveries, other.deliveries) {
            (Some(own), Some(others)) => own.merge(*others),
            (own @ None, others) => *own = others,
            (Some(_), None) => {}
        }
        self
    }

    /// Takes deliveries of one more thing.
    pub(crate) fn deliver_to(mut self, source: impl DeliverySource + 'static) -> Self {
        self.deliveries
            .get_or_insert_with(|| Box::new(Deliveries::new()))
            .add(source);
        self
    }

    /// Runs the handler of the request's route, or answers 404 or 405.
    pub(crate) fn dispatch(&self, mut request: Request) -> Answer {
        let deliveries = self.deliveries.as_ref();
        if let Some(respond) = deliveries.and_then(|own| own.find(&request)) {
            return respond(request);
        }
        let path = request.path();
        let best = self
            .routes
            .iter()
            .filter_map(|route| Some((route.fit(request.method())?, route)))
            .filter(|(_, route)| route.pattern.matches(path))
            // Of equals, the first stays.
            .min_by(|(fit, route), (other_fit, other)| {
                route
                    .pattern
                    .specificity(other.pattern)
                    .then(fit.cmp(other_fit))
            });
        match best {
            Some((_, route)) => {
                request.set_pattern(route.pattern);
                (route.handler)(request)
            }
            None => self.refuse(path).into_answer(),
        }
    }

    /// Finds what is wrong with the table; for tests, never on a request's path.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn mistakes(&self) -> Vec<String> {
        let mistake = |route: &Route| {
            let pattern = route.pattern;
            pattern
                .mistake()
                .map(|mistake| format!("the route `{}` {mistake}", pattern.0))
        };
        let taken = |path: String| {
            let route = self
                .routes
                .iter()
                .find(|route| route.pattern.0 == path && route.fit(&Method::POST).is_some())?;
            let pattern = route.pattern.0;
            Some(format!("the route `{pattern}` is where Dapr delivers"))
        };
        let deliveries = self.deliveries.iter().flat_map(|own| own.paths());
        let mistakes = self.routes.iter().filter_map(mistake);
        mistakes.chain(deliveries.filter_map(taken)).collect()
    }

    fn add<R, M>(
        mut self,
        method: Option<Method>,
        pattern: &'static str,
        handler: impl Fn(Request) -> R + 'static,
    ) -> Self
    where
        R: IntoAnswer<M>,
    {
        let handler: Handler = Box::new(move |request| handler(request).into_answer());
        self.routes.push(Route {
            method,
            pattern: Pattern(pattern),
            handler,
        });
        self
    }

    fn refuse(&self, path: &str) -> Error {
        let (mut allowed, mut list) = (Vec::new(), String::new());
        for route in self
            .routes
            .iter()
            .filter(|route| route.pattern.matches(path))
        {
            let head = (route.method == Some(Method::GET)).then_some("HEAD");
            for method in route.method.iter().map(Method::as_str).chain(head) {
                if !allowed.contains(&method) {
                    list.push_str(if allowed.is_empty() { "" } else { ", " });
                    list.push_str(method);
                    allowed.push(method);
                }
            }
        }
        if allowed.is_empty() {
            Error::not_found("no route has this path")
        } else {
            Error::new(405, "this path does not take this method").with_field("allow", list)
        }
    }
}

impl Route {
    /// Returns how closely the route takes the method, if it does: less is closer.
    fn fit(&self, method: &Method) -> Option<u8> {
        match &self.method {
            Some(own) if own == method => Some(0),
            Some(Method::GET) if *method == Method::HEAD => Some(1),
            None => Some(2),
            Some(_) => None,
        }
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |route: &Route| {
            let method = route.method.as_ref().map_or("*", Method::as_str);
            format!("{method} {}", route.pattern.0)
        };
        f.debug_list()
            .entries(self.routes.iter().map(line))
            .finish()
    }
}
